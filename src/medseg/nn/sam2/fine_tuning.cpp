#include "medseg/nn/sam2/fine_tuning.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

void trainOnly(Sam2Impl& network, const std::vector<std::string>& parts) {
    if (parts.empty()) throw UsageError("no part of the network is to be trained: name image_encoder, mask_decoder");
    for (auto& parameter : network.parameters()) parameter.set_requires_grad(false);
    for (const std::string& part : parts) {
        torch::nn::Module* module = nullptr;
        if (part == "image_encoder") module = network.imageEncoder.get();
        if (part == "mask_decoder") module = network.maskDecoder.get();
        if (module == nullptr)
            throw UsageError(fmt::format("{} cannot be trained: use image_encoder, mask_decoder", part));
        for (auto& parameter : module->parameters()) parameter.set_requires_grad(true);
    }
}

torch::Tensor boxLogits(Sam2Impl& network, const torch::Tensor& images, const torch::Tensor& boxes) {
    const std::int64_t batch = images.size(0);
    const ImageFeatures features = network.encodeImages(images);
    PromptBatch prompts;
    prompts.points = boxes.reshape({batch, 2, 2});
    prompts.labels = torch::tensor({2, 3}, torch::kInt).to(boxes.device()).unsqueeze(0).expand({batch, 2});
    return network.decode(network.withoutMemory(features.embedding), features.highResolution, prompts, false).masks;
}

}  // namespace medseg
