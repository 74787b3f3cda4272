#include "medseg/nn/sam2/weights.h"

#include "medseg/io/checkpoint_file.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {

NamedTensors readSam2Weights(const std::filesystem::path& path) {
    return withoutPrefix(readStateDict(path).tensors, "sam2_model.");
}

void loadSam2Weights(Sam2Impl& network, const NamedTensors& weights, const std::string& source,
                     const std::string& modelName) {
    const auto state = namedState(network);
    std::vector<ExpectedTensor> expected;
    for (const auto& [name, tensor] : state) expected.push_back({name, tensor.sizes().vec()});
    requireMatch(matchStateDict(expected, weights), source, modelName);
    torch::NoGradGuard noGradient;
    for (auto [name, tensor] : state) tensor.copy_(toTensor(*findTensor(weights, name)));
}

}  // namespace medseg
