#include "medseg/dataset/patch_sampler.h"

#include <algorithm>
#include <cmath>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr std::uint64_t kPatchStream = 0x9a7c'0000'0000ULL;

/// A voxel of a structure of the case; nothing when it shows none.
bool drawStructureVoxel(const VolumeCache& cache, std::int64_t volume, Random& random, Index3& voxel) {
    const CachedVolume& item = cache.caseAt(volume);
    std::vector<int> present;
    for (std::size_t id = 1; id < item.foreground.size(); ++id)
        if (item.foreground[id] > 0) present.push_back(static_cast<int>(id));
    if (present.empty()) return false;
    const auto voxels = cache.foreground(volume, present[random.index(present.size())]);
    const std::int64_t number = voxels[random.index(voxels.size())];
    const Index3& size = item.grid.size();
    voxel = {number % size[0], number / size[0] % size[1], number / (size[0] * size[1])};
    return true;
}

PatchPlace drawPatch(const VolumeCache& cache, std::int64_t volume, const Index3& patch, bool centred, Random& random) {
    const Index3& size = cache.caseAt(volume).grid.size();
    PatchPlace place{volume, {}};
    Index3 voxel{};
    centred = centred && drawStructureVoxel(cache, volume, random, voxel);
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const StartRange range = StartRange::of(size[axis], patch[axis]);
        const auto places = static_cast<std::uint64_t>(range.last - range.first + 1);
        place.start[axis] = centred ? std::clamp(voxel[axis] - patch[axis] / 2, range.first, range.last)
                                    : range.first + static_cast<std::int64_t>(random.index(places));
    }
    return place;
}

/// Calls function(start) for 0, patch, 2 patch ... below `size`.
template <typename Function>
void forEachTile(std::int64_t size, std::int64_t patch, Function&& function) {
    for (std::int64_t start = 0; start < size; start += patch) function(start);
}

}  // namespace

StartRange StartRange::of(std::int64_t size, std::int64_t patch) {
    if (size >= patch) return {0, size - patch};
    const std::int64_t before = (patch - size) / 2;
    return {-before, -before};
}

std::vector<PatchPlace> drawPatches(const VolumeCache& cache, const std::vector<std::int64_t>& cases,
                                    const PatchSampling& sampling, std::uint64_t epoch) {
    if (cases.empty()) throw UsageError("there are no volumes to draw patches from");
    std::vector<std::int64_t> order;
    for (int i = 0; i < sampling.perCase; ++i) order.insert(order.end(), cases.begin(), cases.end());
    Random random(sampling.seed, kPatchStream + epoch);
    random.shuffle(order);
    std::vector<PatchPlace> places;
    for (std::size_t i = 0; i < order.size(); ++i) {
        // Of every stretch of 1 / foreground patches one is centred: small batches see structures regularly.
        const auto rank = static_cast<double>(i);
        const bool centred =
            std::floor((rank + 1) * sampling.foreground + 1e-9) > std::floor(rank * sampling.foreground + 1e-9);
        places.push_back(drawPatch(cache, order[i], sampling.size, centred, random));
    }
    return places;
}

std::vector<PatchPlace> tilePatches(const VolumeCache& cache, const std::vector<std::int64_t>& cases,
                                    const Index3& patch) {
    std::vector<PatchPlace> places;
    for (const std::int64_t volume : cases) {
        const Index3& size = cache.caseAt(volume).grid.size();
        forEachTile(size[2], patch[2], [&](std::int64_t z) {
            forEachTile(size[1], patch[1], [&](std::int64_t y) {
                forEachTile(size[0], patch[0], [&](std::int64_t x) { places.push_back({volume, {x, y, z}}); });
            });
        });
    }
    return places;
}

}  // namespace medseg
