#include "medseg/infer/slice_propagation.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/imaging/resize_opencv.h"

namespace medseg {
namespace {

/// One label on its way in one direction.
struct Traveller {
    SlicePropagationPrompt prompt;
    PixelBox promptBox;               ///< network pixels
    std::optional<PixelBox> lastBox;  ///< of the last mask that was not empty, network pixels
    std::vector<std::uint8_t> mask;   ///< of the slice visited last, at the slice's size; empty before
    int emptyInARow = 0;
    bool done = false;
};

struct NextBox {
    PixelBox box;
    PropagationStep::Source source = PropagationStep::Source::Prompt;
};

class Propagation {
  public:
    Propagation(SliceFeatures& features, const SlicePropagationRules& rules, const MaskReceiver& receive,
                const StepReceiver& steps)
        : features_(features), rules_(rules), receive_(receive), steps_(steps) {}

    void run(const std::vector<SlicePropagationPrompt>& prompts) {
        std::vector<Traveller> up;
        std::int64_t lowest = features_.slices().nz(), highest = -1;
        for (const auto& prompt : prompts) {
            up.push_back({prompt, toNetwork(prompt.box), {}, {}, 0, false});
            lowest = std::min(lowest, firstOf(prompt));
            highest = std::max(highest, lastOf(prompt));
        }
        std::vector<Traveller> down;
        for (std::int64_t z = lowest; z <= highest; ++z) {
            visit(z, up, [&](const Traveller& t) { return z >= t.prompt.start && z <= lastOf(t.prompt); });
            // The way down begins with the mask of the start slice.
            for (const Traveller& t : up)
                if (t.prompt.start == z)
                    down.push_back({t.prompt, t.promptBox, t.lastBox, t.mask, t.emptyInARow, false});
        }
        for (std::int64_t z = highest; z >= lowest; --z)
            visit(z, down, [&](const Traveller& t) { return z < t.prompt.start && z >= firstOf(t.prompt); });
    }

  private:
    std::int64_t firstOf(const SlicePropagationPrompt& p) const {
        return std::min(p.start, rules_.includeFirst ? p.low : p.low + 1);
    }
    std::int64_t lastOf(const SlicePropagationPrompt& p) const { return rules_.includeLast ? p.high : p.high - 1; }

    double side() const { return static_cast<double>(features_.model()->settings().imageSize); }

    PixelBox toNetwork(const PixelBox& box) const {
        const auto width = static_cast<double>(features_.slices().nx());
        const auto height = static_cast<double>(features_.slices().ny());
        return {box.x0 / width * side(), box.y0 / height * side(), box.x1 / width * side(), box.y1 / height * side()};
    }

    /// Box of a mask after the resize to the network's input, as the original measures it.
    std::optional<PixelBox> boxOnNetwork(const std::vector<std::uint8_t>& mask) const {
        const auto& slices = features_.slices();
        const auto size = static_cast<std::int64_t>(side());
        std::vector<std::uint8_t> resized(static_cast<std::size_t>(size * size));
        resizeOpenCv({mask.data(), slices.nx(), slices.ny(), 1}, OpenCvResize::Nearest,
                     {resized.data(), size, size, 1});
        return boxOfLabel(SliceView<const std::uint8_t>{resized.data(), size, size, size}, 1, rules_.shiftAt(size),
                          rules_.limit);
    }

    NextBox nextBox(const Traveller& t) const {
        if (t.mask.empty()) return {t.promptBox, PropagationStep::Source::Prompt};
        if (const auto box = boxOnNetwork(t.mask)) return {*box, PropagationStep::Source::PreviousMask};
        const bool last = rules_.fallback == SlicePropagationRules::Fallback::LastBox && t.lastBox;
        return {last ? *t.lastBox : t.promptBox, PropagationStep::Source::Fallback};
    }

    template <typename Active>
    void visit(std::int64_t z, std::vector<Traveller>& travellers, const Active& isActive) {
        std::vector<Traveller*> active;
        for (Traveller& t : travellers)
            if (!t.done && isActive(t)) active.push_back(&t);
        if (active.empty()) return;
        throwIfInterrupted();
        std::vector<NextBox> boxes;
        for (const Traveller* t : active) boxes.push_back(nextBox(*t));
        const Sam2MaskOutput output = decode(z, boxes);
        const torch::Tensor probabilities = atSliceSize(output.masks);
        for (std::size_t i = 0; i < active.size(); ++i) {
            const auto row = static_cast<std::int64_t>(i);
            const torch::Tensor plane = probabilities[row][0].contiguous();
            PropagationStep step{active[i]->prompt.label,
                                 z,
                                 boxes[i].box,
                                 boxes[i].source,
                                 output.ious[row][0].item<double>(),
                                 output.objectScore[row][0].item<double>(),
                                 0};
            finish(*active[i], plane.data_ptr<float>(), step);
        }
    }

    Sam2MaskOutput decode(std::int64_t z, const std::vector<NextBox>& boxes) {
        torch::NoGradGuard noGradient;
        const ImageFeatures image = features_.at(z);
        const auto count = static_cast<std::int64_t>(boxes.size());
        torch::Tensor corners = torch::empty({count, 2, 2});
        for (std::int64_t i = 0; i < count; ++i) {
            const PixelBox& box = boxes[static_cast<std::size_t>(i)].box;
            float* values = corners[i].data_ptr<float>();
            values[0] = static_cast<float>(box.x0);
            values[1] = static_cast<float>(box.y0);
            values[2] = static_cast<float>(box.x1);
            values[3] = static_cast<float>(box.y1);
        }
        Sam2& model = features_.model();
        PromptBatch prompts;
        prompts.points = corners.to(model->device());
        prompts.labels = torch::tensor({2, 3}, torch::kInt).unsqueeze(0).repeat({count, 1}).to(model->device());
        return model->decode(model->withoutMemory(image.embedding), image.highResolution, prompts, false);
    }

    torch::Tensor atSliceSize(const torch::Tensor& logits) const {
        const auto& slices = features_.slices();
        const torch::Tensor plane = rules_.sharpenFirst
                                        ? resizeLogits(torch::sigmoid(logits), slices.ny(), slices.nx())
                                        : torch::sigmoid(resizeLogits(logits, slices.ny(), slices.nx()));
        return plane.to(torch::kCPU);
    }

    void finish(Traveller& t, const float* probability, PropagationStep& step) {
        const auto pixels = static_cast<std::size_t>(features_.slices().nx() * features_.slices().ny());
        t.mask.resize(pixels);
        for (std::size_t i = 0; i < pixels; ++i) {
            t.mask[i] = probability[i] > 0.5F ? 1 : 0;
            step.pixels += t.mask[i];
        }
        if (step.pixels > 0) {
            t.emptyInARow = 0;
            t.lastBox = boxOnNetwork(t.mask);
        } else {
            t.done = ++t.emptyInARow == rules_.stopAfterEmpty;
        }
        if (steps_) steps_(step);
        receive_(step.label, step.slice, probability);
    }

    SliceFeatures& features_;
    const SlicePropagationRules& rules_;
    const MaskReceiver& receive_;
    const StepReceiver& steps_;
};

}  // namespace

SlicePropagationRules SlicePropagationRules::official() {
    SlicePropagationRules rules;
    rules.shiftSide = 0;
    rules.start = Start::Middle;
    rules.limit = BoxLimit::Size;
    rules.fallback = Fallback::PromptBox;
    rules.stopAfterEmpty = 0;
    rules.sharpenFirst = true;
    return rules;
}

SlicePropagationRules SlicePropagationRules::ild() {
    SlicePropagationRules rules = official();
    rules.includeFirst = false;
    rules.includeLast = false;
    return rules;
}

SlicePropagationRules SlicePropagationRules::from(const PropagationOptions& options) {
    SlicePropagationRules rules;
    if (options.method == "slices" && options.rules == "official") rules = official();
    if (options.method == "slices" && options.rules == "ild") rules = ild();
    rules.boxShift = options.boxShift;
    return rules;
}

SlicePropagationPrompt promptFromBoxes(const LabelBoxes& boxes, const SlicePropagationRules& rules) {
    if (boxes.boxes.empty()) throw DataError(fmt::format("label {} has no box to start from", boxes.label));
    SlicePropagationPrompt prompt;
    prompt.label = boxes.label;
    prompt.low = boxes.boxes.front().slice;
    prompt.high = boxes.boxes.back().slice;
    const bool byMask = rules.start == SlicePropagationRules::Start::LargestMask;
    std::size_t best = 0;
    for (std::size_t i = 1; i < boxes.boxes.size(); ++i) {
        const bool larger =
            byMask ? boxes.pixels[i] > boxes.pixels[best] : boxes.boxes[i].box.area() > boxes.boxes[best].box.area();
        if (larger) best = i;
    }
    prompt.box = boxes.boxes[best].box;
    prompt.start = byMask ? boxes.boxes[best].slice : prompt.low + (prompt.high - prompt.low) / 2;
    return prompt;
}

void requireInside(const SliceBox& b, const Index3& size) {
    if (b.slice < 0 || b.slice >= size[2])
        throw DataError(fmt::format("box of label {}: slice {} does not exist: the volume has slices 0 to {}", b.label,
                                    b.slice, size[2] - 1));
    const PixelBox& box = b.box;
    const bool inside =
        box.x0 >= 0 && box.y0 >= 0 && box.x1 <= static_cast<double>(size[0]) && box.y1 <= static_cast<double>(size[1]);
    if (!inside || !(box.x1 > box.x0) || !(box.y1 > box.y0))
        throw DataError(fmt::format("box of label {} on slice {}: {},{} to {},{} is no box within {} x {} pixels",
                                    b.label, b.slice, box.x0, box.y0, box.x1, box.y1, size[0], size[1]));
}

void propagateSlices(SliceFeatures& features, const std::vector<SlicePropagationPrompt>& prompts,
                     const SlicePropagationRules& rules, const MaskReceiver& receive, const StepReceiver& steps) {
    for (const SlicePropagationPrompt& p : prompts) {
        requireInside({p.label, p.start, p.box}, features.slices().size());
        if (p.low < 0 || p.high >= features.slices().nz() || p.start < p.low || p.start > p.high)
            throw DataError(fmt::format("label {}: slices {} to {} from {} are no range within slices 0 to {}", p.label,
                                        p.low, p.high, p.start, features.slices().nz() - 1));
    }
    Propagation(features, rules, receive, steps).run(prompts);
}

}  // namespace medseg
