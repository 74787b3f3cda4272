// One step of training a promptable network, free of data and loop: what MedSAM computes between images and loss.
#pragma once

#include <torch/torch.h>

#include "medseg/nn/sam/sam.h"

namespace medseg {

/// The prompt encoder keeps its weights.
void freezePromptEncoder(SamImpl& network);
void freezeImageEncoder(SamImpl& network);

/// Logits at the size of `targets` for one box an image. embeddings: (batch, channels, grid, grid); boxes: (batch, 4),
/// x0, y0, x1, y1 in pixels of the network's input; targets: (batch, 1, height, width), of which only the size matters.
/// Gradients reach the embeddings and the mask decoder.
torch::Tensor promptedLogits(SamImpl& network, const torch::Tensor& embeddings, const torch::Tensor& boxes,
                             const torch::Tensor& targets);

}  // namespace medseg
