// Which patches of the volumes are seen in an epoch.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/base/random.h"
#include "medseg/dataset/volume_cache.h"

namespace medseg {

/// A box of voxels of one case. It may reach over the volume's border, where a patch is larger than the volume.
struct PatchPlace {
    std::int64_t volume = 0;  ///< case of the cache
    Index3 start{};           ///< voxel of the case's grid at the patch's corner
};

struct PatchSampling {
    Index3 size{96, 96, 96};   ///< voxels along x, y, z
    int perCase = 8;           ///< patches from each case in an epoch
    double foreground = 0.33;  ///< share of patches centred on a structure, 0..1
    std::uint64_t seed = 1;
};

/// Where patches of `patch` voxels may start in `size` voxels: 0 .. size - patch; a patch that is larger than the
/// volume has the volume in its middle (an odd voxel at the end).
struct StartRange {
    std::int64_t first = 0, last = 0;
    static StartRange of(std::int64_t size, std::int64_t patch);
};

/// The patches of an epoch: `perCase` of each of `cases` (which must not be empty), shuffled. A share of `foreground`
/// of them, evenly spread over the epoch, is centred on a voxel of a structure as far as the volume's border allows:
/// each structure of the case equally often, each stored voxel of it equally often (Isensee et al. 2021). The others
/// lie anywhere. Cases without any structure give patches that lie anywhere. Depends on seed and epoch only.
std::vector<PatchPlace> drawPatches(const VolumeCache& cache, const std::vector<std::int64_t>& cases,
                                    const PatchSampling& sampling, std::uint64_t epoch);

/// Patches side by side that cover each voxel of the cases exactly once; the last along an axis may reach over the
/// border.
std::vector<PatchPlace> tilePatches(const VolumeCache& cache, const std::vector<std::int64_t>& cases,
                                    const Index3& size);

}  // namespace medseg
