#include "medseg/train/slice_tensors.h"

#include <algorithm>

#include "medseg/base/error.h"
#include "medseg/dataset/slice_plan.h"
#include "medseg/nn/coordinates.h"

namespace medseg {
namespace {

/// Number of slices of the volume that a slice was cut from.
std::int64_t sourceSliceCount(const SliceCache& cache, std::int64_t slice) {
    return SlicePlan::of(cache.caseAt(cache.caseOf(slice)).geometry, cache.format().axis).count;
}

}  // namespace

torch::Tensor imageTensor(SliceBatch& batch, const SliceCache& cache, const std::vector<std::string>& coordinates) {
    std::vector<float> positions;
    for (const std::int64_t slice : batch.slices)
        positions.push_back(slicePosition(cache.sourceSliceOf(slice), sourceSliceCount(cache, slice)));
    // A copy: the first layer needs its input again in the backward pass, when the batch is gone.
    const auto images =
        torch::from_blob(batch.images.data(), {batch.count, batch.channels, batch.height, batch.width}).clone();
    return appendCoordinates(images, coordinates, positions);
}

torch::Tensor labelTensor(SliceBatch& batch) {
    const std::vector<std::int64_t> shape{batch.count, batch.layers, batch.height, batch.width};
    if (!batch.labels16.empty()) return torch::from_blob(batch.labels16.data(), shape, torch::kInt16);
    return torch::from_blob(batch.labels8.data(), shape, torch::kUInt8);
}

void requireSameStructures(const LabelTable& labels, const SliceCache& cache) {
    const auto same = [](const Label& a, const Label& b) { return a.name == b.name; };
    const auto &ours = labels.labels(), &theirs = cache.labels().labels();
    if (!std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(), same))
        throw DataError(cache.directory().string(),
                        "this slice cache has other structures than the model: give the one it was trained on");
}

}  // namespace medseg
