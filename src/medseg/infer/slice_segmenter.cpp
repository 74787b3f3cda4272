#include "medseg/infer/slice_segmenter.h"

#include <algorithm>
#include <chrono>

#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"
#include "medseg/infer/slice_batch.h"
#include "medseg/infer/thresholds.h"
#include "medseg/nn/device.h"

namespace medseg {

SliceSegmenter::SliceSegmenter(std::vector<LoadedModel> models, const SegmenterOptions& options)
    : recipe_(models.front().recipe),
      labels_(models.front().labels),
      batchSize_(options.batchSize > 0 ? options.batchSize : recipe_.predict.batchSize),
      thresholds_(thresholdsFor(models.front(), options)),
      ensemble_(std::make_unique<SliceEnsemble>(models, deviceFromName(options.device),
                                                precisionFromName(options.precision), batchSize_, options.mirror)) {}

void SliceSegmenter::restoreBatch(const torch::Tensor& probability, std::int64_t firstSlice,
                                  const SliceRestoration& restoration) const {
    const std::int64_t height = probability.size(1), width = probability.size(2), channels = probability.size(3);
    const float* values = probability.data_ptr<float>();
    const auto restore = [&](std::int64_t i) {
        restoration.restore(values + i * channels * height * width, height, width, channels, firstSlice + i);
    };
    // A sink gets its slices in order; without one they are independent.
    if (restoration.ordered()) {
        for (std::int64_t i = 0; i < probability.size(0); ++i) restore(i);
    } else {
        parallelForEach(0, probability.size(0), restore);
    }
}

LabelMap SliceSegmenter::segment(const Volume<float>& image, const std::function<void()>& advance,
                                 const ProbabilitySink& probabilities, Volume<float>* uncertainty) {
    const c10::InferenceMode inference;
    Volume<std::uint16_t> labels(image.geometry(), 0);
    if (uncertainty != nullptr) *uncertainty = Volume<float>(image.geometry(), 0);
    const SlicePlan plan = SlicePlan::of(image.geometry(), axis());
    const OutputKind output = outputKindOf(recipe_.model);
    const SliceRestoration restoration(plan, output, LabelRestorer(output, thresholds_),
                                       {&labels, uncertainty, &probabilities});
    const std::int64_t slices = plan.count;
    for (std::int64_t first = 0; first < slices; first += batchSize_) {
        throwIfInterrupted();
        const std::int64_t count = std::min(batchSize_, slices - first);
        const auto batch = sliceBatch(image, recipe_, labels_, first, count);
        const auto start = std::chrono::steady_clock::now();
        const auto probability = ensemble_->probabilities(batch);
        networkSeconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        restoreBatch(probability, first, restoration);
        for (std::int64_t i = 0; advance && i < count; ++i) advance();
    }
    return LabelMap::fromAny(AnyVolume(std::move(labels)), labels_, "prediction");
}

}  // namespace medseg
