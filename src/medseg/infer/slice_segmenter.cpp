#include "medseg/infer/slice_segmenter.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/preparation.h"
#include "medseg/imaging/resize2d.h"
#include "medseg/infer/label_restoration.h"
#include "medseg/nn/coordinates.h"
#include "medseg/nn/device.h"

namespace medseg {
namespace {

float binaryEntropy(float p) {
    const auto term = [](float q) { return q > 0 ? -q * std::log2(q) : 0.0F; };
    return term(p) + term(1 - p);
}

/// See Segmenter::segment.
float pixelEntropy(const float* probability, std::int64_t channels, OutputKind output) {
    float result = 0;
    if (output == OutputKind::Sigmoid) {
        // The entropy falls with the distance from 1/2.
        float nearest = 0;
        for (std::int64_t c = 0; c < channels; ++c)
            if (std::abs(probability[c] - 0.5F) < std::abs(nearest - 0.5F)) nearest = probability[c];
        return binaryEntropy(nearest);
    }
    for (std::int64_t c = 0; c < channels; ++c)
        if (probability[c] > 0) result -= probability[c] * std::log(probability[c]);
    return result / std::log(static_cast<float>(channels));
}

}  // namespace

SliceSegmenter::SliceSegmenter(std::vector<LoadedModel> models, const SegmenterOptions& options)
    : recipe_(models.front().recipe),
      labels_(models.front().labels),
      batchSize_(options.batchSize > 0 ? options.batchSize : recipe_.predict.batchSize),
      threshold_(options.threshold >= 0 ? options.threshold : recipe_.predict.threshold),
      ensemble_(std::make_unique<SliceEnsemble>(models, deviceFromName(options.device),
                                                precisionFromName(options.precision), batchSize_, options.mirror)) {}

torch::Tensor SliceSegmenter::prepareBatch(const Volume<float>& image, std::int64_t firstSlice,
                                           std::int64_t count) const {
    const SliceFormat format = sliceFormatFrom(recipe_.prepare, labels_);
    const SlicePlan plan = SlicePlan::of(image.geometry(), format.axis);
    const std::int64_t neighbours = recipe_.model.neighbours, channels = 2 * neighbours + 1;
    auto batch = torch::empty({count, channels, format.height, format.width});
    float* target = batch.data_ptr<float>();
    // Each source slice is prepared once and copied to every place where it is a slice or a neighbour.
    parallelForEach(firstSlice - neighbours, firstSlice + count + neighbours, [&](std::int64_t slice) {
        std::vector<float> plane(static_cast<std::size_t>(plan.height * plan.width));
        plan.gather(image.data(), std::clamp<std::int64_t>(slice, 0, plan.count - 1), plane.data());
        std::vector<float> prepared(static_cast<std::size_t>(format.pixelCount()));
        prepareImagePlane(format, plan, plane, prepared.data());
        for (std::int64_t channel = 0; channel < channels; ++channel) {
            const std::int64_t place = slice - firstSlice - channel + neighbours;
            if (place >= 0 && place < count)
                std::copy(prepared.begin(), prepared.end(),
                          target + (place * channels + channel) * format.pixelCount());
        }
    });
    std::vector<float> positions;
    for (std::int64_t i = 0; i < count; ++i) positions.push_back(slicePosition(firstSlice + i, plan.count));
    return appendCoordinates(batch, recipe_.model.coordinates, positions).permute({0, 2, 3, 1}).contiguous();
}

void SliceSegmenter::restoreBatch(const torch::Tensor& probability, std::int64_t firstSlice,
                                  Volume<std::uint16_t>& labels, const ProbabilitySink& probabilities) const {
    const SlicePlan plan = SlicePlan::of(labels.geometry(), axis());
    const std::int64_t height = probability.size(1), width = probability.size(2), channels = probability.size(3);
    const LabelRestorer restorer(outputKindOf(recipe_.model), threshold_);
    const float* values = probability.data_ptr<float>();
    const auto restoreSlice = [&](std::int64_t i) {
        std::vector<std::uint16_t> plane(static_cast<std::size_t>(plan.height * plan.width));
        LabelRestorer::PlaneSink sink;
        if (probabilities)
            sink = [&, i](int structure, const float* p) { probabilities(structure, firstSlice + i, p); };
        restorer.restore(values + i * channels * height * width, height, width, channels,
                         {plane.data(), plan.width, plan.height, plan.width}, sink);
        plan.scatter(plane.data(), firstSlice + i, labels.data());
    };
    // A sink gets its slices in order; without one they are independent.
    if (probabilities) {
        for (std::int64_t i = 0; i < probability.size(0); ++i) restoreSlice(i);
    } else {
        parallelForEach(0, probability.size(0), restoreSlice);
    }
}

void SliceSegmenter::restoreUncertainty(const torch::Tensor& probability, std::int64_t firstSlice,
                                        Volume<float>& uncertainty) const {
    const SlicePlan plan = SlicePlan::of(uncertainty.geometry(), axis());
    const std::int64_t height = probability.size(1), width = probability.size(2), channels = probability.size(3);
    const float* values = probability.data_ptr<float>();
    parallelForEach(0, probability.size(0), [&](std::int64_t i) {
        std::vector<float> entropy(static_cast<std::size_t>(height * width));
        for (std::int64_t pixel = 0; pixel < height * width; ++pixel)
            entropy[static_cast<std::size_t>(pixel)] =
                pixelEntropy(values + (i * height * width + pixel) * channels, channels, outputKindOf(recipe_.model));
        std::vector<float> plane(static_cast<std::size_t>(plan.height * plan.width));
        resizeBilinear(SliceView<const float>{entropy.data(), width, height, width},
                       SliceView<float>{plane.data(), plan.width, plan.height, plan.width});
        plan.scatter(plane.data(), firstSlice + i, uncertainty.data());
    });
}

LabelMap SliceSegmenter::segment(const Volume<float>& image, const std::function<void()>& advance,
                                 const ProbabilitySink& probabilities, Volume<float>* uncertainty) {
    const c10::InferenceMode inference;
    Volume<std::uint16_t> labels(image.geometry(), 0);
    if (uncertainty != nullptr) *uncertainty = Volume<float>(image.geometry(), 0);
    const std::int64_t slices = SlicePlan::of(image.geometry(), axis()).count;
    for (std::int64_t first = 0; first < slices; first += batchSize_) {
        throwIfInterrupted();
        const std::int64_t count = std::min(batchSize_, slices - first);
        const auto batch = prepareBatch(image, first, count);
        const auto start = std::chrono::steady_clock::now();
        const auto probability = ensemble_->probabilities(batch);
        networkSeconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        restoreBatch(probability, first, labels, probabilities);
        if (uncertainty != nullptr) restoreUncertainty(probability, first, *uncertainty);
        for (std::int64_t i = 0; advance && i < count; ++i) advance();
    }
    return LabelMap::fromAny(AnyVolume(std::move(labels)), labels_, "prediction");
}

}  // namespace medseg
