// The recipe's sections `sam2` and `propagate`: SAM 2, MedSAM2 and EfficientTAM (model.kind: sam2).
#pragma once

#include <string>
#include <vector>

#include "medseg/recipe/settings.h"

namespace medseg {

/// Network and training of the SAM 2 family. Slices to train on are those of prepare.form medsam2 (section
/// prepare_medsam), whose window also shows images at prediction.
struct Sam2RecipeSettings {
    std::string mode = "both";
    std::string model = "sam2_hiera_t";
    std::string checkpoint;
    int imageSize = 0;
    std::vector<std::string> train{"image_encoder", "mask_decoder"};
    int clipSlices = 1;
    int boxShift = 5;
};

template <typename Visitor>
void visitFields(Visitor&& field, Sam2RecipeSettings& s) {
    field("mode", s.mode, "stages of `medseg run`: both; train (up to training); infer (with a model that exists)",
          oneOf({"both", "train", "infer"}));
    field("model", s.model, "network; hiera_mini trains on a CPU in minutes",
          oneOf({"sam2_hiera_t", "sam2_hiera_s", "sam2_hiera_b+", "sam2_hiera_l", "sam2.1_hiera_t", "sam2.1_hiera_s",
                 "sam2.1_hiera_b+", "sam2.1_hiera_l", "medsam2_sam2.1_hiera_t512", "efficienttam_s_512x512",
                 "efficienttam_ti_512x512", "hiera_mini"}));
    field("checkpoint", s.checkpoint, "weights to start from (.pt, .pth or .safetensors); empty: random", Allowed{});
    field("image_size", s.imageSize, "pixels of the network's input, a multiple of 32; 0: as published",
          between(0, 4096));
    field("train", s.train, "parts that learn; the prompt encoder never does; memory needs clip_slices of 2 or more",
          oneOf({"image_encoder", "mask_decoder", "memory"}));
    field("clip_slices", s.clipSlices,
          "training: slices a sample; above 1 the label is tracked by memory from the first, prompted one",
          between(1, 16));
    field("box_shift", s.boxShift,
          "training: each side of a box moves outwards by up to so many pixels of the label grid", between(0, 1024));
}

/// How boxes travel through a volume at prediction (section `propagate`).
struct PropagateSettings {
    std::string method = "slices";
    std::string rules = "corrected";
    std::string boxes = "labels";
    int boxShift = 5;
};

template <typename Visitor>
void visitFields(Visitor&& field, PropagateSettings& s) {
    field("method", s.method,
          "slices: the box of the last mask prompts the next slice; memory: SAM 2's own; none: every slice has its box",
          oneOf({"slices", "memory", "none"}));
    field("rules", s.rules,
          "slices: corrected; official (MedSAM2's script with its quirks) or ild (the same without both end slices)",
          oneOf({"corrected", "official", "ild"}));
    field("boxes", s.boxes, "where boxes come from: labels (of the reference) or lungs (found by threshold)",
          oneOf({"labels", "lungs"}));
    field("box_shift", s.boxShift,
          "pixels of a 1024-pixel input by which boxes of masks are widened; official, ild: pixels of any grid",
          between(0, 1024));
}

}  // namespace medseg
