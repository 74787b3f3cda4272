// How prompts travel through a volume, free of torch types.
#pragma once

#include <string>

namespace medseg {

/// For networks with SAM 2's parts. Boxes of label maps are bound to the slices that their label occurs on; boxes that
/// a user gives, and those of lungs, may travel to both ends of the volume.
struct PropagationOptions {
    std::string method = "slices";    ///< slices: the box of the last mask prompts the next slice; memory: SAM 2's own
    std::string rules = "corrected";  ///< slices: corrected, official or ild (SlicePropagationRules)
    bool lungs = false;               ///< boxes around the lungs, found by threshold, instead of prompts
    int boxShift = 5;  ///< pixels of a 1024-pixel input by which boxes of masks are widened; official, ild: of any grid
    int imageSize = 0;               ///< side of the network's input; 0: as the checkpoint says
    std::string precision = "fp32";  ///< of the image encoder: fp32 or bf16
    bool separate = false;           ///< also one 0/1 mask a label in a folder beside the label map
};

}  // namespace medseg
