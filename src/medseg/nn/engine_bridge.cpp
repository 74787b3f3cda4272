#include "medseg/nn/engine_bridge.h"

#include "medseg/engine/unet_graph.h"

namespace medseg {

std::optional<Graph> engineGraph(UNetImpl& network) {
    const UNetShape& shape = network.shape();
    if (shape.dimensions != 2 || shape.norm != NormKind::Batch || shape.residual || shape.attention)
        return std::nullopt;
    auto state = network.named_parameters();
    for (const auto& item : network.named_buffers()) state.insert(item.key(), item.value());
    const NamedWeights weights = [&state](const std::string& name) {
        const torch::Tensor dense = state[name].detach().to(torch::kCPU, torch::kFloat).contiguous();
        const float* values = dense.data_ptr<float>();
        return std::vector<float>(values, values + dense.numel());
    };
    return unetGraph(shape.inChannels, shape.outChannels, shape.features, shape.bottleneck, ChannelNormImpl::kEpsilon,
                     weights);
}

}  // namespace medseg
