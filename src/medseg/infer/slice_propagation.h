// A box that travels through a volume slice by slice: each slice is prompted with the box of the mask found on the
// slice before it (MedSAM2 of 2024, Ma et al.).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "medseg/dataset/box_prompts.h"
#include "medseg/infer/slice_features.h"
#include "medseg/nn/propagation_options.h"

namespace medseg {

/// How the box travels.
struct SlicePropagationRules {
    enum class Start {
        LargestMask,  ///< at the slice with the largest mask, prompted with that slice's box
        Middle        ///< at the middle of the range, prompted with the largest box of any slice
    };
    enum class Fallback { LastBox, PromptBox };

    Start start = Start::LargestMask;
    bool includeFirst = true;  ///< visit the lowest slice of the range
    bool includeLast = true;   ///< visit the highest one
    double boxShift = 5;       ///< pixels by which boxes are widened, see shiftAt()
    double shiftSide = 1024;   ///< side of the input whose pixels these are; 0: pixels of whatever a box lies on
    BoxLimit limit = BoxLimit::LastPixel;
    Fallback fallback = Fallback::LastBox;  ///< the box after an empty mask
    int stopAfterEmpty = 3;                 ///< empty masks in a row that end a direction; 0: go on to the end
    bool sharpenFirst = false;              ///< sigmoid before instead of after the resize to the slice's size

    /// The shift in pixels of a slice or an input of this side. A fixed number of pixels would grow with a coarser
    /// grid: each slice adds it anew, and the box leaves the object.
    double shiftAt(std::int64_t side) const {
        return shiftSide > 0 ? boxShift * static_cast<double>(side) / shiftSide : boxShift;
    }

    /// The default: what the seed meant.
    static SlicePropagationRules corrected() { return {}; }
    /// The official script of MedSAM2 (2024), with its quirks: the prompt box may belong to another slice than the one
    /// it is used on, boxes end one past the last pixel, a lost object is looked for with the first box for ever.
    static SlicePropagationRules official();
    /// The script of the ILD pipeline: like official(), and both end slices are left out.
    static SlicePropagationRules ild();
    /// "corrected", "official" or "ild", with its boxShift; memory propagation always starts as corrected.
    static SlicePropagationRules from(const PropagationOptions& options);
};

/// What is known of one label before its propagation.
struct SlicePropagationPrompt {
    int label = 0;
    std::int64_t low = 0;    ///< lowest slice that may be visited
    std::int64_t high = 0;   ///< highest one
    std::int64_t start = 0;  ///< between low and high
    PixelBox box;            ///< pixels of the slice
};

/// The prompt that the rules make of a label's boxes on all slices where it occurs. Throws DataError when there are
/// none.
SlicePropagationPrompt promptFromBoxes(const LabelBoxes& boxes, const SlicePropagationRules& rules);

/// One visited slice, for checks and logs.
struct PropagationStep {
    enum class Source { Prompt, PreviousMask, Fallback };
    int label = 0;
    std::int64_t slice = 0;
    PixelBox box;  ///< pixels of the network's input
    Source source = Source::Prompt;
    double iou = 0;  ///< expected by the network
    double objectScore = 0;
    std::int64_t pixels = 0;  ///< of the mask, at the slice's size
};

/// Probabilities 0..1 of a label on a slice, x fastest.
using MaskReceiver = std::function<void(int label, std::int64_t slice, const float* probability)>;
using StepReceiver = std::function<void(const PropagationStep&)>;

/// Visits every slice at most once a label and direction; on each slice the embedding is computed once and all labels
/// are decoded together. Throws DataError for a prompt outside the volume, InterruptedError.
void propagateSlices(SliceFeatures& features, const std::vector<SlicePropagationPrompt>& prompts,
                     const SlicePropagationRules& rules, const MaskReceiver& receive, const StepReceiver& steps = {});

/// Throws DataError, naming the label, unless slice and box lie in a volume of this size.
void requireInside(const SliceBox& box, const Index3& size);

}  // namespace medseg
