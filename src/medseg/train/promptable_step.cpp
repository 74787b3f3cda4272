#include "medseg/train/promptable_step.h"

namespace medseg {
namespace {

void freeze(torch::nn::Module& module) {
    for (torch::Tensor& parameter : module.parameters()) parameter.set_requires_grad(false);
}

}  // namespace

void freezePromptEncoder(SamImpl& network) {
    freeze(*network.promptEncoder);
}

void freezeImageEncoder(SamImpl& network) {
    freeze(*network.imageEncoder);
}

torch::Tensor promptedLogits(SamImpl& network, const torch::Tensor& embeddings, const torch::Tensor& boxes,
                             const torch::Tensor& targets) {
    PromptBatch prompts;
    prompts.boxes = boxes;
    const MaskPrediction prediction = network.decode(embeddings, prompts, false);
    return torch::upsample_bilinear2d(prediction.masks, {targets.size(2), targets.size(3)}, false);
}

}  // namespace medseg
