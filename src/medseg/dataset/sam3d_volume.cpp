#include "medseg/dataset/sam3d_volume.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/distance.h"

namespace medseg {
namespace {

/// Columns of the index axes in reverse order; its own inverse.
Affine turnedAffine(const Affine& affine) {
    Affine turned = affine;
    for (std::size_t row = 0; row < 3; ++row) std::swap(turned[row][0], turned[row][2]);
    return turned;
}

template <typename T>
Volume<T> turned(const Volume<T>& volume) {
    constexpr std::int64_t kTile = 16;
    const auto [nx, ny, nz] = volume.size();
    Volume<T> out(Geometry({nz, ny, nx}, turnedAffine(volume.geometry().affine())));
    const T* in = volume.data();
    T* result = out.data();
    parallelForEach(0, (nx + kTile - 1) / kTile, [&, nx = nx, ny = ny, nz = nz](std::int64_t tile) {
        const std::int64_t first = tile * kTile, last = std::min(nx, first + kTile);
        for (std::int64_t y = 0; y < ny; ++y)
            for (std::int64_t low = 0; low < nz; low += kTile)
                for (std::int64_t x = first; x < last; ++x)
                    for (std::int64_t z = low; z < std::min(nz, low + kTile); ++z)
                        result[z + nz * (y + ny * x)] = in[x + nx * (y + ny * z)];
    });
    return out;
}

/// Foreground voxels some of whose 26 neighbours are background; `outside` says what lies beyond the grid.
std::vector<VoxelIndex> voxelsWithEmptyNeighbour(const Volume<std::uint8_t>& labels, bool outsideIsEmpty) {
    const std::int64_t nk = labels.nx(), nj = labels.ny(), ni = labels.nz();
    const auto hasEmptyNeighbour = [&](std::int64_t k, std::int64_t j, std::int64_t i) {
        for (std::int64_t c = i - 1; c <= i + 1; ++c)
            for (std::int64_t b = j - 1; b <= j + 1; ++b)
                for (std::int64_t a = k - 1; a <= k + 1; ++a) {
                    const bool inside = a >= 0 && b >= 0 && c >= 0 && a < nk && b < nj && c < ni;
                    if (inside ? labels(a, b, c) == 0 : outsideIsEmpty) return true;
                }
        return false;
    };
    std::vector<VoxelIndex> found;
    for (std::int64_t i = 0; i < ni; ++i)
        for (std::int64_t j = 0; j < nj; ++j)
            for (std::int64_t k = 0; k < nk; ++k)
                if (labels(k, j, i) != 0 && hasEmptyNeighbour(k, j, i))
                    found.push_back(
                        {static_cast<std::int32_t>(i), static_cast<std::int32_t>(j), static_cast<std::int32_t>(k)});
    return found;
}

}  // namespace

Affine Sam3dVolume::affine() const {
    return turnedAffine(labels.geometry().affine());
}

Sam3dVolume turnedVolume(const Volume<float>& image, const Volume<std::uint8_t>& labels) {
    if (image.size() != labels.size())
        throw DataError(fmt::format("image and labels differ in size: {} and {} voxels", formatSize(image.size()),
                                    formatSize(labels.size())));
    return {turned(image), turned(labels)};
}

Geometry isotropicGrid(const Geometry& geometry, double spacing) {
    if (!(spacing > 0) || !std::isfinite(spacing))
        throw UsageError(fmt::format("spacing {} mm is not positive", spacing));
    constexpr double kMostVoxels = 32768;
    const Vec3 old = geometry.spacing();
    Affine affine = geometry.affine();
    Index3 size = geometry.size();
    Vec3 first{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const double ratio = spacing / old[axis];
        const double count = std::max(1.0, std::floor(static_cast<double>(size[axis]) / ratio + 1e-4));
        if (count > kMostVoxels)
            throw UsageError(fmt::format("spacing {} mm would make {} voxels along one axis", spacing, count));
        first[axis] = (static_cast<double>(size[axis] - 1) - ratio * (count - 1)) / 2;
        size[axis] = static_cast<std::int64_t>(count);
        for (std::size_t row = 0; row < 3; ++row) affine[row][axis] *= ratio;
    }
    const Vec3 origin = geometry.voxelToWorld(first);
    for (std::size_t row = 0; row < 3; ++row) affine[row][3] = origin[row];
    return {size, affine};
}

Volume<float> labelDistance(const Volume<std::uint8_t>& labels, std::uint8_t label, DistanceUnit unit) {
    const Geometry grid = unit == DistanceUnit::Voxel
                              ? Geometry::axisAligned(labels.size(), {1, 1, 1})
                              : Geometry::axisAligned(labels.size(), labels.geometry().spacing());
    Volume<std::uint8_t> mask(grid);
    std::transform(labels.data(), labels.data() + labels.voxelCount(), mask.data(),
                   [label](std::uint8_t value) { return static_cast<std::uint8_t>(value == label); });
    Volume<float> distance = signedDistance<float>(mask);
    if (std::isinf(distance.data()[0]))
        std::fill_n(distance.data(), distance.voxelCount(), std::copysign(kSam3dNoSurface, distance.data()[0]));
    distance.setAffine(labels.geometry().affine());
    return distance;
}

std::vector<VoxelIndex> shellVoxels(const Volume<std::uint8_t>& labels) {
    return voxelsWithEmptyNeighbour(labels, false);
}

std::vector<VoxelIndex> prunedVoxels(const Volume<std::uint8_t>& labels) {
    return voxelsWithEmptyNeighbour(labels, true);
}

}  // namespace medseg
