// Boxes that travel through a volume by SAM 2's memory, slices as video frames (MedSAM2, Ma et al. 2025).
#pragma once

#include <optional>
#include <vector>

#include "medseg/infer/slice_features.h"
#include "medseg/infer/slice_propagation.h"

namespace medseg {

/// Prompts of one label: boxes on one or more key slices.
struct MemoryPropagationPrompt {
    int label = 0;
    std::vector<SliceBox> boxes;
    std::int64_t low = 0;   ///< lowest slice to track to
    std::int64_t high = 0;  ///< highest one
};

/// Tracks every label forward from its first key slice to `high`, then, with the same boxes and a fresh memory,
/// backward from its last key slice to `low`; `receive` gets the probabilities of both passes, so slices between key
/// slices twice. Every slice is embedded once while its embedding is kept. A label remembers only what later slices can
/// see: the key slices, memories of the last few slices and pointers of some more, however long the volume is. Throws
/// DataError for a box outside the volume, InterruptedError.
void propagateMemory(SliceFeatures& features, const std::vector<MemoryPropagationPrompt>& prompts,
                     const MaskReceiver& receive);

}  // namespace medseg
