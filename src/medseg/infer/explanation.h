// Where a network looks: heat maps for one structure on one slice.
#pragma once

#include "medseg/nn/network_module.h"

namespace medseg {

/// GradCam: Grad-CAM for segmentation (Vinogradova, Dibrov, Myers 2020) at the bottleneck: the score is the sum of the
/// structure's logits over the pixels predicted as it. Occlusion: square patches of an eighth of the slice, every
/// sixteenth, are replaced by the slice's mean; the heat is the mean loss of probability on those pixels. Runs on the
/// CPU. Throws UsageError for a structure that the model does not have or does not find.
ExplainOutcome explainSlice(const ExplainRequest& request);

}  // namespace medseg
