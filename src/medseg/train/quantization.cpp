#include "medseg/train/quantization.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/progress.h"
#include "medseg/dataset/split.h"
#include "medseg/engine/calibration.h"
#include "medseg/engine/quantization_file.h"
#include "medseg/nn/engine_bridge.h"
#include "medseg/nn/model_file.h"
#include "medseg/train/slice_tensors.h"

namespace medseg {
namespace {

constexpr int kBatch = 4;

/// `count` of `slices`, evenly spread; whole batches only.
std::vector<std::int64_t> spread(const std::vector<std::int64_t>& slices, int count) {
    const auto most = static_cast<std::int64_t>(slices.size());
    const std::int64_t wanted = std::min<std::int64_t>(std::max(count, kBatch), most) / kBatch * kBatch;
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = 0; i < wanted; ++i) chosen.push_back(slices[static_cast<std::size_t>(i * most / wanted)]);
    return chosen;
}

}  // namespace

QuantizeOutcome quantizeModel(const QuantizeRequest& request) {
    LoadedModel model = loadModel(request.model);
    const auto graph = engineGraph(*model.network);
    if (!graph)
        throw UsageError(fmt::format("{}: only the plain two-dimensional U-Net with batch norm runs in 8 bits",
                                     model.file.string()));
    const SliceCache cache(request.cache);
    requireSameStructures(model.labels, cache);
    const auto chosen = spread(splitSlices(cache, model.recipe.data, model.recipe.seed).training, request.slices);
    if (chosen.empty())
        throw DataError(request.cache.string(), fmt::format("has fewer than {} training slices", kBatch));

    LoaderSettings settings;
    settings.batchSize = kBatch;
    settings.neighbours = model.recipe.model.neighbours;
    settings.shuffle = false;
    SliceLoader loader(cache, chosen, settings);
    RangeCalibration calibration(*graph, kBatch, cache.format().height, cache.format().width);
    Progress progress("calibrating", 2 * static_cast<std::int64_t>(chosen.size()), "slices");
    for (const bool refining : {false, true}) {
        loader.startEpoch(0);
        while (auto batch = loader.next()) {
            const auto images =
                imageTensor(*batch, cache, model.recipe.model.coordinates).permute({0, 2, 3, 1}).contiguous();
            if (refining)
                calibration.refine(images.data_ptr<float>());
            else
                calibration.measure(images.data_ptr<float>());
            progress.advance(batch->count);
            throwIfInterrupted();
        }
    }
    progress.finish();
    writeQuantization(model.file, calibration.ranges());
    return {quantizationFile(model.file), static_cast<int>(chosen.size())};
}

}  // namespace medseg
