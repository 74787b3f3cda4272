#include "medseg/infer/slice_segmenter.h"

#include <chrono>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/preparation.h"
#include "medseg/infer/label_restoration.h"
#include "medseg/nn/coordinates.h"
#include "medseg/nn/device.h"

namespace medseg {

SliceSegmenter::SliceSegmenter(LoadedModel model, const SegmenterOptions& options)
    : model_(std::move(model)),
      device_(deviceFromName(options.device)),
      batchSize_(options.batchSize > 0 ? options.batchSize : model_.recipe.predict.batchSize),
      threshold_(options.threshold >= 0 ? options.threshold : model_.recipe.predict.threshold) {
    model_.network->to(device_);
    for (auto& parameter : model_.network->parameters())
        if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(torch::MemoryFormat::ChannelsLast));
    model_.network->eval();
}

torch::Tensor SliceSegmenter::prepareBatch(const Volume<float>& image, std::int64_t firstSlice,
                                           std::int64_t count) const {
    const SliceFormat format = sliceFormatFrom(model_.recipe.prepare, model_.labels);
    const SlicePlan plan = SlicePlan::of(image.geometry(), format.axis);
    auto batch = torch::empty({count, 1, format.height, format.width});
    float* target = batch.data_ptr<float>();
    parallelForEach(0, count, [&](std::int64_t i) {
        std::vector<float> plane(static_cast<std::size_t>(plan.height * plan.width));
        plan.gather(image.data(), firstSlice + i, plane.data());
        prepareImagePlane(format, plan, plane, target + i * format.pixelCount());
    });
    std::vector<float> positions;
    for (std::int64_t i = 0; i < count; ++i) positions.push_back(slicePosition(firstSlice + i, plan.count));
    return appendCoordinates(batch, model_.recipe.model.coordinates, positions);
}

void SliceSegmenter::restoreBatch(const torch::Tensor& logits, std::int64_t firstSlice, Volume<std::uint16_t>& labels,
                                  const ProbabilitySink& probabilities) const {
    const SlicePlan plan = SlicePlan::of(labels.geometry(), axis());
    const auto dense = logits.to(torch::kCPU).contiguous(torch::MemoryFormat::ChannelsLast);
    const std::int64_t channels = dense.size(1), height = dense.size(2), width = dense.size(3);
    const LabelRestorer restorer(outputKindOf(model_.recipe.model), threshold_);
    const float* values = dense.data_ptr<float>();
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
        for (std::int64_t i = 0; i < dense.size(0); ++i) restoreSlice(i);
    } else {
        parallelForEach(0, dense.size(0), restoreSlice);
    }
}

LabelMap SliceSegmenter::segment(const Volume<float>& image, const std::function<void()>& advance,
                                 const ProbabilitySink& probabilities) {
    const c10::InferenceMode inference;
    Volume<std::uint16_t> labels(image.geometry(), 0);
    const std::int64_t slices = SlicePlan::of(image.geometry(), axis()).count;
    for (std::int64_t first = 0; first < slices; first += batchSize_) {
        throwIfInterrupted();
        const std::int64_t count = std::min(batchSize_, slices - first);
        const auto batch = prepareBatch(image, first, count);
        const auto start = std::chrono::steady_clock::now();
        const auto logits =
            model_.network->forward(batch.to(device_).contiguous(torch::MemoryFormat::ChannelsLast)).to(torch::kCPU);
        networkSeconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        restoreBatch(logits, first, labels, probabilities);
        for (std::int64_t i = 0; advance && i < count; ++i) advance();
    }
    return LabelMap::fromAny(AnyVolume(std::move(labels)), model_.labels, "prediction");
}

}  // namespace medseg
