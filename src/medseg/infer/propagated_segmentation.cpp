#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/imaging/components.h"
#include "medseg/infer/memory_propagation.h"
#include "medseg/infer/propagated_prediction.h"

namespace medseg {
namespace {

constexpr float kInside = 0.5F;

/// Labels of a volume that arrive slice by slice, and how sure each voxel is of its own.
class VolumePainter {
  public:
    VolumePainter(const Geometry& geometry, const std::vector<TravellingLabel>& labels, bool separate)
        : labels_(geometry, 0), best_(geometry, 0) {
        for (const TravellingLabel& label : labels)
            if (separate) masks_.emplace(label.boxes.label, Volume<std::uint8_t>(geometry, 0));
    }

    /// Returns the pixels inside.
    std::int64_t paint(int label, std::int64_t z, const float* probability) {
        const std::int64_t first = labels_.index(0, 0, z);
        const std::int64_t count = labels_.nx() * labels_.ny();
        const auto mask = masks_.find(label);
        std::int64_t inside = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            if (!(probability[i] > kInside)) continue;
            ++inside;
            const auto sure = static_cast<std::uint8_t>(probability[i] * 255.0F);
            if (sure > best_.data()[first + i]) {
                best_.data()[first + i] = sure;
                labels_.data()[first + i] = static_cast<std::uint16_t>(label);
            }
            if (mask != masks_.end()) mask->second.data()[first + i] = 1;
        }
        return inside;
    }

    LabelMap takeLabels(bool largestOnly) {
        if (largestOnly) keepLargestComponents(labels_, Connectivity::TwentySix);
        const auto values = labels_.voxels();
        if (std::any_of(values.begin(), values.end(), [](std::uint16_t v) { return v > 255; }))
            return LabelMap(std::move(labels_));
        Volume<std::uint8_t> small(labels_.geometry());
        std::copy(values.begin(), values.end(), small.data());
        return LabelMap(std::move(small));
    }

    std::vector<Volume<std::uint8_t>> takeMasks(const std::vector<TravellingLabel>& labels, bool largestOnly) {
        std::vector<Volume<std::uint8_t>> all;
        if (masks_.empty()) return all;
        for (const TravellingLabel& label : labels) {
            Volume<std::uint8_t>& mask = masks_.at(label.boxes.label);
            if (largestOnly) keepLargestComponents(mask, Connectivity::TwentySix);
            all.push_back(std::move(mask));
        }
        return all;
    }

  private:
    Volume<std::uint16_t> labels_;
    Volume<std::uint8_t> best_;
    std::map<int, Volume<std::uint8_t>> masks_;
};

std::vector<SlicePropagationPrompt> slicePrompts(const std::vector<TravellingLabel>& labels,
                                                 const SlicePropagationRules& rules, std::int64_t slices) {
    std::vector<SlicePropagationPrompt> prompts;
    for (const TravellingLabel& label : labels) {
        prompts.push_back(promptFromBoxes(label.boxes, rules));
        if (label.bound) continue;
        prompts.back().low = 0;
        prompts.back().high = slices - 1;
    }
    return prompts;
}

/// A label map gives the box of its largest slice; boxes that a user gave are all key slices.
std::vector<MemoryPropagationPrompt> memoryPrompts(const std::vector<TravellingLabel>& labels,
                                                   const SlicePropagationRules& rules, std::int64_t slices) {
    std::vector<MemoryPropagationPrompt> prompts;
    for (const TravellingLabel& label : labels) {
        MemoryPropagationPrompt prompt{label.boxes.label, label.boxes.boxes, 0, slices - 1};
        if (label.bound) {
            const SlicePropagationPrompt start = promptFromBoxes(label.boxes, rules);
            prompt.boxes = {{start.label, start.start, start.box}};
            prompt.low = start.low;
            prompt.high = start.high;
        }
        prompts.push_back(std::move(prompt));
    }
    return prompts;
}

}  // namespace

PropagatedSegmentation segmentPropagated(Sam2 model, const Volume<std::uint8_t>& slices,
                                         const std::vector<TravellingLabel>& labels, const PropagationOptions& options,
                                         const std::function<void()>& advance) {
    const bool memory = options.method == "memory";
    PropagatedSegmentation result;
    VolumePainter painter(slices.geometry(), labels, options.separate);
    SliceFeatures features(std::move(model), slices, memory ? SliceResize::Pillow : SliceResize::Smooth);
    features.encodeIn(productPrecisionFromName(options.precision, features.model()->device()));
    std::map<std::pair<int, std::int64_t>, double> ious;
    const SlicePropagationRules rules = SlicePropagationRules::from(options);
    const MaskReceiver receive = [&](int label, std::int64_t slice, const float* probability) {
        const std::int64_t pixels = painter.paint(label, slice, probability);
        const auto iou = ious.find({label, slice});
        result.objects.push_back({label, slice, iou == ious.end() ? 0 : iou->second, pixels});
        if (advance) advance();
    };
    if (memory) {
        propagateMemory(features, memoryPrompts(labels, rules, slices.nz()), receive);
    } else {
        propagateSlices(features, slicePrompts(labels, rules, slices.nz()), rules, receive,
                        [&](const PropagationStep& step) {
                            ious[{step.label, step.slice}] = step.iou;
                        });
    }
    result.encodings = features.encodings();
    result.masks = painter.takeMasks(labels, memory);
    result.labels = painter.takeLabels(memory);
    return result;
}

}  // namespace medseg
