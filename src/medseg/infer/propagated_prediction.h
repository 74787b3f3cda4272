// From volumes and a few boxes to label maps: prompts that travel from slice to slice.
#pragma once

#include "medseg/dataset/box_prompts.h"
#include "medseg/infer/slice_propagation.h"
#include "medseg/nn/network_module.h"
#include "medseg/nn/sam2/sam2.h"

namespace medseg {

/// Boxes of one label; `bound`: it does not travel beyond the slices of its boxes.
struct TravellingLabel {
    LabelBoxes boxes;
    bool bound = false;
};

struct PropagatedSegmentation {
    LabelMap labels;  ///< where labels meet, the more probable one wins
    /// One 0/1 volume for each label in the order given, overlaps kept; empty unless asked for.
    std::vector<Volume<std::uint8_t>> masks;
    std::vector<PromptedObject> objects;  ///< every visited slice of every label
    std::int64_t encodings = 0;           ///< slices encoded
};

/// Segments `slices` (0..255). Throws DataError for boxes outside the volume, InterruptedError.
PropagatedSegmentation segmentPropagated(Sam2 model, const Volume<std::uint8_t>& slices,
                                         const std::vector<TravellingLabel>& labels, const PropagationOptions& options,
                                         const std::function<void()>& advance = {});

/// NetworkModule::predictPrompted for requests with propagation. Inputs may also be .npz files of `medseg prepare
/// --form medsam2`; without prompts their own labels give the boxes. Inputs i with i % WORLD_SIZE == RANK (environment)
/// are done by this process.
PromptedOutcome predictPropagatedFiles(const PromptedRequest& request);

}  // namespace medseg
