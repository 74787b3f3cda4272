// Connected components of label maps, and what is made of them: statistics, removal of small components ("dust"),
// largest components. Components never mix values. Run-based union-find in parallel slabs; results do not depend on
// threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "medseg/volume/volume.h"

namespace medseg {

/// Neighbours of a voxel. Four and Eight stay within a slice: in a volume every slice is on its own.
enum class Connectivity : int { Four = 4, Eight = 8, Six = 6, Eighteen = 18, TwentySix = 26 };

/// From 4, 8, 6, 18 or 26. Throws UsageError.
Connectivity connectivityFromNumber(int neighbours);

struct ComponentLabels {
    Volume<std::uint32_t> labels;  ///< 0 background, else 1..count in the order of first voxels (x fastest)
    std::int64_t count = 0;
};

/// Numbers the components of equal non-zero values. Memory beyond input and output: 4 bytes a run, at most 4 a voxel.
/// All functions here are instantiated for uint8, int8, uint16, int16, uint32 and int32, take at most 2^31 - 1 voxels
/// (DataError beyond) and throw DataError for a volume without voxels.
template <typename T>
ComponentLabels labelComponents(const Volume<T>& volume, Connectivity connectivity);

struct Component {
    std::int64_t value = 0;  ///< label of its voxels
    std::int64_t voxels = 0;
    Index3 low{};     ///< bounding box, inclusive
    Index3 high{};    ///< bounding box, inclusive
    Vec3 centroid{};  ///< mean voxel index
};

/// Statistics of the components, entry i for component i + 1 of labelComponents(), without making the label volume.
template <typename T>
std::vector<Component> findComponents(const Volume<T>& volume, Connectivity connectivity);

/// Sets components of fewer than `minVoxels` voxels to 0, as cc3d.dust does with threshold = minVoxels. Returns the
/// number of voxels removed.
template <typename T>
std::int64_t removeSmallComponents(Volume<T>& volume, std::int64_t minVoxels, Connectivity connectivity);
/// The same for one slice; connectivity Four or Eight.
template <typename T>
std::int64_t removeSmallComponents(SliceView<T> slice, std::int64_t minVoxels, Connectivity connectivity);

/// 1 on the largest component of voxels != 0 (whatever their labels), 0 elsewhere; of equally large ones the first.
template <typename T>
Volume<std::uint8_t> largestComponent(const Volume<T>& volume, Connectivity connectivity);

/// Of every label keeps the largest component (the first of equally large ones). Returns the number of voxels removed.
template <typename T>
std::int64_t keepLargestComponents(Volume<T>& volume, Connectivity connectivity);

}  // namespace medseg
