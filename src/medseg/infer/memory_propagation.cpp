#include "medseg/infer/memory_propagation.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/nn/sam2/video_predictor.h"

namespace medseg {
namespace {

struct Tracker {
    const MemoryPropagationPrompt* prompt = nullptr;
    std::unique_ptr<Sam2VideoPredictor> predictor;
    std::int64_t start = 0;
};

FrameSource frameSource(SliceFeatures& features) {
    const auto& slices = features.slices();
    return {slices.nz(), slices.ny(), slices.nx(), [&features](std::int64_t slice) { return features.at(slice); }};
}

void requireUsable(const MemoryPropagationPrompt& prompt, const Index3& size) {
    if (prompt.boxes.empty()) throw DataError(fmt::format("label {} has no box to start from", prompt.label));
    for (const SliceBox& box : prompt.boxes) {
        requireInside(box, size);
        if (box.slice < prompt.low || box.slice > prompt.high)
            throw DataError(fmt::format("label {}: its box on slice {} lies outside the slices {} to {}", prompt.label,
                                        box.slice, prompt.low, prompt.high));
    }
    if (prompt.low < 0 || prompt.high >= size[2])
        throw DataError(fmt::format("label {}: slices {} to {} are no range within slices 0 to {}", prompt.label,
                                    prompt.low, prompt.high, size[2] - 1));
}

Tracker makeTracker(SliceFeatures& features, const MemoryPropagationPrompt& prompt, bool reverse) {
    Tracker tracker;
    tracker.prompt = &prompt;
    tracker.predictor = std::make_unique<Sam2VideoPredictor>(features.model(), frameSource(features), true);
    tracker.start = prompt.boxes.front().slice;
    for (const SliceBox& box : prompt.boxes) {
        FramePoints points;
        points.box = {static_cast<float>(box.box.x0), static_cast<float>(box.box.y0), static_cast<float>(box.box.x1),
                      static_cast<float>(box.box.y1)};
        tracker.predictor->addPoints(box.slice, prompt.label, points);
        tracker.start = reverse ? std::max(tracker.start, box.slice) : std::min(tracker.start, box.slice);
    }
    return tracker;
}

void trackSlice(Tracker& tracker, std::int64_t slice, bool reverse, const MaskReceiver& receive) {
    const FrameResult result = tracker.predictor->trackFrame(slice, reverse);
    const torch::Tensor probability = torch::sigmoid(result.logits[0][0]).to(torch::kCPU).contiguous();
    receive(tracker.prompt->label, slice, probability.data_ptr<float>());
}

}  // namespace

void propagateMemory(SliceFeatures& features, const std::vector<MemoryPropagationPrompt>& prompts,
                     const MaskReceiver& receive) {
    for (const auto& prompt : prompts) requireUsable(prompt, features.slices().size());
    // All labels go through the volume side by side, so that they share the embedding of a slice.
    for (const bool reverse : {false, true}) {
        std::vector<Tracker> trackers;
        for (const auto& prompt : prompts) trackers.push_back(makeTracker(features, prompt, reverse));
        const std::int64_t count = features.slices().nz();
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t slice = reverse ? count - 1 - i : i;
            throwIfInterrupted();
            for (Tracker& tracker : trackers) {
                const bool active = reverse ? slice <= tracker.start && slice >= tracker.prompt->low
                                            : slice >= tracker.start && slice <= tracker.prompt->high;
                if (active) trackSlice(tracker, slice, reverse, receive);
            }
        }
    }
}

}  // namespace medseg
