#include "medseg/nn/sam2/video_predictor.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/imaging/components.h"

namespace medseg {
namespace {

constexpr float kFilledHoleLogit = 0.1F;

template <typename Frames>
auto findFrame(Frames& frames, std::int64_t frame) {
    return std::find_if(frames.begin(), frames.end(), [&](const auto& item) { return item.first == frame; });
}

void putFrame(std::vector<std::pair<std::int64_t, RememberedFrame>>& frames, std::int64_t frame,
              RememberedFrame value) {
    const auto found = findFrame(frames, frame);
    if (found != frames.end())
        found->second = std::move(value);
    else
        frames.emplace_back(frame, std::move(value));
}

std::int64_t bytesOf(const torch::Tensor& tensor) {
    return tensor.defined() ? static_cast<std::int64_t>(tensor.nbytes()) : 0;
}

std::int64_t bytesOf(const RememberedFrame& frame) {
    return bytesOf(frame.memory) + bytesOf(frame.mask.lowResolution) + bytesOf(frame.mask.pointer);
}

}  // namespace

torch::Tensor fillHoles(const torch::Tensor& logits, std::int64_t area) {
    if (area <= 0) return logits;
    torch::Tensor filled = logits.to(torch::kCPU, torch::kFloat).contiguous().clone();
    const std::int64_t height = filled.size(2);
    const std::int64_t width = filled.size(3);
    Volume<std::uint8_t> background(Geometry({width, height, 1}, identityAffine()));
    for (std::int64_t n = 0; n < filled.size(0); ++n) {
        float* values = filled[n].data_ptr<float>();
        for (std::int64_t i = 0; i < height * width; ++i) background.data()[i] = values[i] <= 0 ? 1 : 0;
        const ComponentLabels components = labelComponents(background, Connectivity::Eight);
        std::vector<std::int64_t> sizes(static_cast<std::size_t>(components.count) + 1);
        for (const std::uint32_t label : components.labels.voxels()) ++sizes[label];
        for (std::int64_t i = 0; i < height * width; ++i) {
            const std::uint32_t label = components.labels.data()[i];
            if (label > 0 && sizes[label] <= area) values[i] = kFilledHoleLogit;
        }
    }
    return filled.to(logits.device());
}

Sam2VideoPredictor::Sam2VideoPredictor(Sam2 model, FrameSource frames, bool bounded)
    : model_(std::move(model)), frames_(std::move(frames)), bounded_(bounded) {}

Sam2VideoPredictor::ObjectState& Sam2VideoPredictor::objectState(int id) {
    for (ObjectState& object : objects_)
        if (object.id == id) return object;
    objects_.emplace_back();
    objects_.back().id = id;
    return objects_.back();
}

std::int64_t Sam2VideoPredictor::checkedFrame(std::int64_t frame) const {
    if (frame < 0 || frame >= frames_.count)
        throw UsageError(fmt::format("frame {} does not exist: there are frames 0 to {}", frame, frames_.count - 1));
    return frame;
}

FrameMask Sam2VideoPredictor::withoutHoles(FrameMask mask) const {
    mask.lowResolution = fillHoles(mask.lowResolution, model_->settings().fillHoleArea);
    return mask;
}

Memory Sam2VideoPredictor::memoryFor(const ObjectState& object, std::int64_t frame, bool reverse) const {
    const Sam2Settings& s = model_->settings();
    const std::int64_t direction = reverse ? 1 : -1;  // towards frames seen before
    Memory memory;
    for (const auto& [index, remembered] : object.prompted)
        memory.frames.push_back({remembered.memory, s.memoryFrames - 1});
    for (std::int64_t back = s.memoryFrames - 1; back >= 1; --back) {
        const auto found = object.tracked.find(frame + direction * back);
        if (found != object.tracked.end() && found->second.memory.defined())
            memory.frames.push_back({found->second.memory, back - 1});
    }
    const std::int64_t most = std::min(frames_.count, s.maxPointers);
    memory.pointerHorizon = static_cast<double>(most - 1);
    for (const auto& [index, remembered] : object.prompted) {
        const std::int64_t past = reverse ? index - frame : frame - index;
        if (past >= 0) memory.pointers.push_back({remembered.mask.pointer, static_cast<double>(past)});
    }
    for (std::int64_t back = 1; back < most; ++back) {
        const std::int64_t index = frame + direction * back;
        if (index < 0 || index >= frames_.count) break;
        const auto found = object.tracked.find(index);
        if (found != object.tracked.end())
            memory.pointers.push_back({found->second.mask.pointer, static_cast<double>(back)});
    }
    return memory;
}

torch::Tensor Sam2VideoPredictor::conditioned(const ObjectState& object, std::int64_t frame,
                                              const ImageFeatures& features, bool reverse) {
    return model_->attendMemory(features, memoryFor(object, frame, reverse));
}

RememberedFrame Sam2VideoPredictor::answer(const ObjectState& object, std::int64_t frame, const ImageFeatures& features,
                                           const FramePrompt& prompt, bool isFirst, bool reverse) {
    const torch::Tensor embedding =
        isFirst ? model_->withoutMemory(features.embedding) : conditioned(object, frame, features, reverse);
    const std::int64_t points = prompt.points.defined() ? prompt.points.size(1) : 0;
    return {model_->segmentFrame(embedding, features.highResolution, prompt, model_->isAmbiguous(points)), {}};
}

const RememberedFrame* Sam2VideoPredictor::latest(const ObjectState& object, std::int64_t frame, bool isFirst) const {
    const auto in = [&](const auto& frames) -> const RememberedFrame* {
        const auto found = findFrame(frames, frame);
        return found == frames.end() ? nullptr : &found->second;
    };
    if (const RememberedFrame* found = isFirst ? in(object.newPrompted) : in(object.newTracked)) return found;
    if (const RememberedFrame* found = in(object.prompted)) return found;
    return in(object.tracked);
}

torch::Tensor Sam2VideoPredictor::atFrameSize(const torch::Tensor& lowResolution) const {
    return resizeLogits(lowResolution, frames_.height, frames_.width);
}

FrameResult Sam2VideoPredictor::collect(std::int64_t frame, bool isFirst) const {
    FrameResult result;
    result.frame = frame;
    std::vector<torch::Tensor> logits;
    for (const ObjectState& object : objects_) {
        result.objects.push_back(object.id);
        const RememberedFrame* known = latest(object, frame, isFirst);
        logits.push_back(known != nullptr ? atFrameSize(known->mask.lowResolution)
                                          : torch::full({1, 1, frames_.height, frames_.width}, kAbsentLogit,
                                                        torch::TensorOptions(torch::kFloat).device(model_->device())));
    }
    result.logits = torch::cat(logits, 0);
    return result;
}

FrameResult Sam2VideoPredictor::store(ObjectState& object, std::int64_t frame, bool isFirst, RememberedFrame result) {
    result.mask = withoutHoles(std::move(result.mask));
    if (isFirst)
        putFrame(object.newPrompted, frame, std::move(result));
    else
        object.newTracked[frame] = std::move(result);
    return collect(frame, isFirst);
}

FrameResult Sam2VideoPredictor::addPoints(std::int64_t frame, int id, const FramePoints& prompt) {
    torch::NoGradGuard noGradient;
    checkedFrame(frame);
    if (!prompt.box && prompt.points.empty()) throw UsageError("a box or points are needed as prompt");
    if (prompt.box && prompt.keepEarlier) throw UsageError("a box replaces earlier points");
    ObjectState& object = objectState(id);
    std::vector<std::array<float, 4>> boxes;
    if (prompt.box) boxes.push_back(*prompt.box);
    PointPrompt given =
        pointPrompt(boxes, prompt.points, prompt.labels, frames_.height, frames_.width, model_->settings().imageSize);
    given.points = given.points.to(model_->device());
    given.labels = given.labels.to(model_->device());
    if (const auto earlier = object.points.find(frame); prompt.keepEarlier && earlier != object.points.end()) {
        given.points = torch::cat({earlier->second.points, given.points}, 1);
        given.labels = torch::cat({earlier->second.labels, given.labels}, 1);
    }
    object.points[frame] = given;

    const auto visit = object.visited.find(frame);
    const bool isFirst = visit == object.visited.end();
    FramePrompt framePrompt{given.points, given.labels, {}};
    if (const RememberedFrame* known = latest(object, frame, isFirst); known && known->mask.lowResolution.defined())
        framePrompt.mask = known->mask.lowResolution.clamp(-kPromptLogitLimit, kPromptLogitLimit);
    RememberedFrame result =
        answer(object, frame, frames_.features(frame), framePrompt, isFirst, !isFirst && visit->second);
    return store(object, frame, isFirst, std::move(result));
}

FrameResult Sam2VideoPredictor::addMask(std::int64_t frame, int id, const torch::Tensor& mask) {
    torch::NoGradGuard noGradient;
    checkedFrame(frame);
    ObjectState& object = objectState(id);
    const std::int64_t side = model_->settings().imageSize;
    torch::Tensor given = (mask > 0).to(torch::kFloat).to(model_->device()).reshape({1, 1, mask.size(0), mask.size(1)});
    if (mask.size(0) != side || mask.size(1) != side)
        given = (resizeSmoothly(given, side, side) >= 0.5).to(torch::kFloat);
    object.points.erase(frame);
    const bool isFirst = object.visited.find(frame) == object.visited.end();
    return store(object, frame, isFirst, {model_->adoptMask(frames_.features(frame), given), {}});
}

void Sam2VideoPredictor::commitPrompts() {
    const auto remember = [&](std::int64_t frame, RememberedFrame& result) {
        if (!result.memory.defined())
            result.memory = model_->rememberFrame(frames_.features(frame), result.mask, true).to(torch::kBFloat16);
    };
    for (ObjectState& object : objects_) {
        for (auto& [frame, result] : object.newTracked) {
            remember(frame, result);
            object.tracked[frame] = std::move(result);
        }
        for (auto& [frame, result] : object.newPrompted) {
            remember(frame, result);
            putFrame(object.prompted, frame, std::move(result));
        }
        object.newTracked.clear();
        object.newPrompted.clear();
        if (object.prompted.empty())
            throw UsageError(fmt::format("object {} has no prompt: add a box, points or a mask first", object.id));
        for (const auto& [frame, result] : object.prompted) object.tracked.erase(frame);
    }
}

std::vector<std::int64_t> Sam2VideoPredictor::order(bool reverse, std::optional<std::int64_t> start,
                                                    std::optional<std::int64_t> count) const {
    std::int64_t first = frames_.count;
    for (const ObjectState& object : objects_)
        for (const auto& [frame, result] : object.prompted) first = std::min(first, frame);
    if (start) first = checkedFrame(*start);
    const std::int64_t most = count.value_or(frames_.count);
    std::vector<std::int64_t> frames;
    if (reverse) {
        if (first == 0) return frames;  // as the official predictor: nothing lies before
        for (std::int64_t frame = first; frame >= std::max<std::int64_t>(first - most, 0); --frame)
            frames.push_back(frame);
    } else {
        for (std::int64_t frame = first; frame <= std::min(first + most, frames_.count - 1); ++frame)
            frames.push_back(frame);
    }
    return frames;
}

const RememberedFrame& Sam2VideoPredictor::track(ObjectState& object, std::int64_t frame, const ImageFeatures& features,
                                                 bool reverse) {
    if (const auto known = findFrame(object.prompted, frame); known != object.prompted.end()) return known->second;
    RememberedFrame result = answer(object, frame, features, {}, false, reverse);
    result.memory = model_->rememberFrame(features, result.mask, false).to(torch::kBFloat16);
    result.mask = withoutHoles(std::move(result.mask));
    RememberedFrame& stored = object.tracked[frame];
    stored = std::move(result);
    return stored;
}

void Sam2VideoPredictor::forgetDistant(ObjectState& object, std::int64_t frame) const {
    const Sam2Settings& s = model_->settings();
    std::erase_if(object.tracked, [&](const auto& item) { return std::abs(item.first - frame) >= s.maxPointers; });
    for (auto& [index, remembered] : object.tracked) {
        if (std::abs(index - frame) < s.memoryFrames) continue;
        remembered.memory = torch::Tensor();
        remembered.mask.lowResolution = torch::Tensor();
    }
}

FrameResult Sam2VideoPredictor::trackFrame(std::int64_t frame, bool reverse) {
    torch::NoGradGuard noGradient;
    checkedFrame(frame);
    if (objects_.empty()) throw UsageError("nothing to track: add a box, points or a mask first");
    commitPrompts();
    const ImageFeatures features = frames_.features(frame);
    FrameResult result;
    result.frame = frame;
    std::vector<torch::Tensor> logits;
    for (ObjectState& object : objects_) {
        logits.push_back(atFrameSize(track(object, frame, features, reverse).mask.lowResolution));
        result.objects.push_back(object.id);
        object.visited[frame] = reverse;
        if (bounded_) forgetDistant(object, frame);
    }
    result.logits = torch::cat(logits, 0);
    return result;
}

void Sam2VideoPredictor::propagate(const std::function<void(const FrameResult&)>& receive, bool reverse,
                                   std::optional<std::int64_t> start, std::optional<std::int64_t> count) {
    torch::NoGradGuard noGradient;
    if (objects_.empty()) throw UsageError("nothing to track: add a box, points or a mask first");
    commitPrompts();
    for (const std::int64_t frame : order(reverse, start, count)) {
        throwIfInterrupted();
        receive(trackFrame(frame, reverse));
    }
}

const RememberedFrame* Sam2VideoPredictor::remembered(int id, std::int64_t frame) const {
    for (const ObjectState& object : objects_)
        if (object.id == id) return latest(object, frame, true);
    return nullptr;
}

std::int64_t Sam2VideoPredictor::bytes() const {
    std::int64_t total = 0;
    for (const ObjectState& object : objects_) {
        for (const auto& [frame, remembered] : object.prompted) total += bytesOf(remembered);
        for (const auto& [frame, remembered] : object.tracked) total += bytesOf(remembered);
    }
    return total;
}

}  // namespace medseg
