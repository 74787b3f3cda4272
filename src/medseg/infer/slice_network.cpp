#include "medseg/infer/slice_network.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/engine/quantization_file.h"
#include "medseg/nn/engine_bridge.h"

namespace medseg {

SliceNetwork::SliceNetwork(const LoadedModel& model, const torch::Device& device, Precision precision,
                           std::int64_t batch)
    : network_(model.network), device_(device), precision_(precision), batch_(batch) {
    const auto graph = device_.is_cpu() ? engineGraph(*network_) : std::nullopt;
    if (graph) {
        const auto& size = model.recipe.prepare.imageSize;
        const ActivationRanges ranges =
            precision_ == Precision::Int8 ? readQuantization(model.file) : ActivationRanges();
        plan_ = std::make_unique<Plan>(*graph, precision_, batch_, size[0], size[1], ranges);
        return;
    }
    if (precision_ == Precision::Int8)
        throw UsageError(fmt::format(
            "{}: int8 needs the CPU and a plain two-dimensional U-Net with batch norm: use fp32", model.file.string()));
    network_->to(device_);
    if (precision_ == Precision::Bf16) network_->to(torch::kBFloat16);
    for (auto& parameter : network_->parameters())
        if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));
}

torch::Tensor SliceNetwork::logits(const torch::Tensor& images) {
    return plan_ ? onEngine(images) : onLibtorch(images);
}

torch::Tensor SliceNetwork::onLibtorch(const torch::Tensor& images) {
    const auto type = precision_ == Precision::Bf16 ? torch::kBFloat16 : torch::kFloat;
    const auto logits = network_->forward(images.permute({0, 3, 1, 2}).to(device_, type));
    return logits.permute({0, 2, 3, 1}).to(torch::kCPU, torch::kFloat).contiguous();
}

torch::Tensor SliceNetwork::onEngine(const torch::Tensor& images) {
    const std::int64_t count = images.size(0);
    // The last batch may be short: the plan's size is fixed.
    torch::Tensor full = images.contiguous();
    if (count < batch_)
        full = torch::cat({full, torch::zeros({batch_ - count, images.size(1), images.size(2), images.size(3)})});
    const auto logits = torch::empty({batch_, images.size(1), images.size(2), network_->shape().outChannels});
    plan_->run(full.data_ptr<float>(), logits.data_ptr<float>());
    return logits.narrow(0, 0, count);
}

}  // namespace medseg
