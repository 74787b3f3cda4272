#include "medseg/train/slice_tensors.h"

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

}  // namespace medseg
