// Prompts that travel through a video or a volume by SAM 2's memory.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam2/image_predictor.h"
#include "medseg/nn/sam2/sam2.h"

namespace medseg {

/// A sequence of frames of one size. `features` encodes frame `index`; it may cache.
struct FrameSource {
    std::int64_t count = 0;
    std::int64_t height = 0;
    std::int64_t width = 0;
    std::function<ImageFeatures(std::int64_t index)> features;
};

/// Masks of all objects on one frame.
struct FrameResult {
    std::int64_t frame = 0;
    std::vector<int> objects;  ///< ids in the order in which they were added
    torch::Tensor logits;      ///< (objects, 1, height, width); -1024 where an object has no mask
};

/// What the predictor keeps of an object on a frame.
struct RememberedFrame {
    FrameMask mask;
    torch::Tensor memory;  ///< (1, memoryWidth, g, g), rounded to bfloat16; undefined until it is needed
};

/// A box, points, or both: corners first. Coordinates in pixels of the frame.
struct FramePoints {
    std::optional<std::array<float, 4>> box;
    std::vector<std::array<float, 2>> points;
    std::vector<int> labels;
    bool keepEarlier = false;  ///< add to the points given before on this frame (without a box)
};

/// Segments objects by prompts on some frames and tracks them over the others; every object has a memory of its own.
/// Frames are tracked with the rules of the official predictor.
class Sam2VideoPredictor {
  public:
    /// `bounded`: forgets what the following frames cannot see any more, so that memory does not grow with the length
    /// of the video; corrections on frames that lie further back then start anew.
    Sam2VideoPredictor(Sam2 model, FrameSource frames, bool bounded = false);

    /// Prompts object `object` on `frame` and answers with the masks of all objects there. Throws UsageError for a
    /// frame outside the video, or a prompt without any point.
    FrameResult addPoints(std::int64_t frame, int object, const FramePoints& prompt);
    /// `mask`: (height, width), above 0 inside. Replaces other prompts of the object on this frame.
    FrameResult addMask(std::int64_t frame, int object, const torch::Tensor& mask);

    /// Tracks all objects over the frames from `start` (default: the earliest prompted frame) on, `start` included; at
    /// most `count` frames beyond it. Throws UsageError before any prompt.
    void propagate(const std::function<void(const FrameResult&)>& receive, bool reverse = false,
                   std::optional<std::int64_t> start = {}, std::optional<std::int64_t> count = {});

    /// Tracks all objects on one frame, as propagate() does; frames are to be visited in the order of the direction.
    FrameResult trackFrame(std::int64_t frame, bool reverse);

    /// Forgets objects, prompts and memories.
    void reset() { objects_.clear(); }

    /// What is known of an object on a frame after propagation; nullptr when nothing is.
    const RememberedFrame* remembered(int object, std::int64_t frame) const;
    /// Bytes of all memories and masks.
    std::int64_t bytes() const;

  private:
    /// Frames in the order in which they were added.
    using OrderedFrames = std::vector<std::pair<std::int64_t, RememberedFrame>>;

    struct ObjectState {
        int id = 0;
        OrderedFrames prompted;                           ///< attended to from every frame
        std::map<std::int64_t, RememberedFrame> tracked;  ///< attended to from frames nearby
        OrderedFrames newPrompted;                        ///< not yet part of the memory
        std::map<std::int64_t, RememberedFrame> newTracked;
        std::map<std::int64_t, PointPrompt> points;
        std::map<std::int64_t, bool> visited;  ///< tracked frame -> in reverse
    };

    ObjectState& objectState(int id);
    std::int64_t checkedFrame(std::int64_t frame) const;
    RememberedFrame answer(const ObjectState& object, std::int64_t frame, const ImageFeatures& features,
                           const FramePrompt& prompt, bool isFirst, bool reverse);
    FrameResult store(ObjectState& object, std::int64_t frame, bool isFirst, RememberedFrame result);
    torch::Tensor conditioned(const ObjectState& object, std::int64_t frame, const ImageFeatures& features,
                              bool reverse);
    Memory memoryFor(const ObjectState& object, std::int64_t frame, bool reverse) const;
    const RememberedFrame* latest(const ObjectState& object, std::int64_t frame, bool isFirst) const;
    FrameResult collect(std::int64_t frame, bool isFirst) const;
    torch::Tensor atFrameSize(const torch::Tensor& lowResolution) const;
    void commitPrompts();
    const RememberedFrame& track(ObjectState& object, std::int64_t frame, const ImageFeatures& features, bool reverse);
    void forgetDistant(ObjectState& object, std::int64_t frame) const;
    std::vector<std::int64_t> order(bool reverse, std::optional<std::int64_t> start,
                                    std::optional<std::int64_t> count) const;
    FrameMask withoutHoles(FrameMask mask) const;

    Sam2 model_;
    FrameSource frames_;
    bool bounded_;
    std::vector<ObjectState> objects_;
};

/// Sets components of logits <= 0 with at most `area` pixels (8 neighbours) to 0.1. logits: (n, 1, h, w).
torch::Tensor fillHoles(const torch::Tensor& logits, std::int64_t area);

}  // namespace medseg
