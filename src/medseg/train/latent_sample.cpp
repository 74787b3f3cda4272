#include "medseg/train/latent_sample.h"

#include <tuple>

#include "medseg/nn/sam3d/latent_structure.h"

namespace medseg {

torch::Tensor nearestVoxels(const torch::Tensor& voxels, std::int64_t count, Random& random) {
    const auto centre = static_cast<std::int64_t>(random.index(static_cast<std::uint64_t>(voxels.size(0))));
    const auto distance = std::get<0>((voxels - voxels[centre]).abs().max(1));
    const auto nearest = std::get<1>(distance.sort(true, 0, false)).narrow(0, 0, count);
    return std::get<0>(nearest.sort());
}

LatentSample structureSample(const ReferenceShape& shape, std::int64_t largest, Random* random) {
    LatentSample sample;
    sample.voxels = bandVoxels(shape.solid());
    sample.solid = shape.solid();
    sample.target = shape.target();
    if (random != nullptr && largest > 0 && sample.voxels.size(0) > largest) {
        sample.voxels = sample.voxels.index_select(0, nearestVoxels(sample.voxels, largest, *random));
        sample.target.surface = shape.surfaceWithin(sample.voxels);
    }
    sample.latents = cornerOccupancy(shape.solid(), sample.voxels);
    return sample;
}

}  // namespace medseg
