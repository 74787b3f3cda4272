// segmentationLoss() on the CPU in one pass over the logits forward and one backward.
#pragma once

#include "medseg/nn/segmentation_loss.h"

namespace medseg {

/// As segmentationLoss(); `logits` are float and on the CPU. Values and gradients do not depend on the number of
/// threads.
torch::Tensor fusedSegmentationLoss(const torch::Tensor& logits, const torch::Tensor& labels,
                                    const SegmentationLossOptions& options);

}  // namespace medseg
