#include "medseg/infer/slice_segmenter.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/resize2d.h"
#include "medseg/infer/label_restoration.h"
#include "medseg/infer/slice_batch.h"
#include "medseg/nn/device.h"
#include "medseg/nn/threshold_file.h"

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

std::vector<double> thresholdsFor(const LoadedModel& model, const SegmenterOptions& options) {
    if (outputKindOf(model.recipe.model) == OutputKind::Softmax) return {};
    if (options.searchedThresholds) return readThresholds(model.file, model.labels);
    const double threshold = options.threshold >= 0 ? options.threshold : model.recipe.predict.threshold;
    return std::vector<double>(model.labels.size(), threshold);
}

}  // namespace

SliceSegmenter::SliceSegmenter(std::vector<LoadedModel> models, const SegmenterOptions& options)
    : recipe_(models.front().recipe),
      labels_(models.front().labels),
      batchSize_(options.batchSize > 0 ? options.batchSize : recipe_.predict.batchSize),
      thresholds_(thresholdsFor(models.front(), options)),
      ensemble_(std::make_unique<SliceEnsemble>(models, deviceFromName(options.device),
                                                precisionFromName(options.precision), batchSize_, options.mirror)) {}

void SliceSegmenter::restoreBatch(const torch::Tensor& probability, std::int64_t firstSlice,
                                  Volume<std::uint16_t>& labels, const ProbabilitySink& probabilities) const {
    const SlicePlan plan = SlicePlan::of(labels.geometry(), axis());
    const std::int64_t height = probability.size(1), width = probability.size(2), channels = probability.size(3);
    const LabelRestorer restorer(outputKindOf(recipe_.model), thresholds_);
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
        const auto batch = sliceBatch(image, recipe_, labels_, first, count);
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
