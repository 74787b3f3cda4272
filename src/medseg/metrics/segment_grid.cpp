#include "medseg/metrics/segment_grid.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <type_traits>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/volume/orientation.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

constexpr double kSameVoxel = 0.01;  ///< voxels

/// How a grid lies on another one's lattice.
struct LatticePlace {
    AxisTurn turn;   ///< that gives its axes the other's directions
    Index3 first{};  ///< where its first voxel after the turn lies
    Index3 size{};   ///< after the turn
};

std::optional<LatticePlace> placeOn(const Geometry& grid, const Geometry& geometry) {
    LatticePlace place;
    place.turn = turnTowards(geometry, grid.orientation());
    const Geometry aligned = turned(geometry, place.turn);
    place.size = aligned.size();
    const Vec3 first = grid.worldToVoxel(aligned.voxelToWorld({0, 0, 0}));
    Vec3 last{};
    for (std::size_t axis = 0; axis < 3; ++axis) last[axis] = static_cast<double>(place.size[axis] - 1);
    const Vec3 end = grid.worldToVoxel(aligned.voxelToWorld(last));
    for (std::size_t axis = 0; axis < 3; ++axis) {
        place.first[axis] = std::llround(first[axis]);
        if (std::abs(first[axis] - std::round(first[axis])) > kSameVoxel) return std::nullopt;
        if (std::abs(end[axis] - first[axis] - last[axis]) > kSameVoxel) return std::nullopt;
    }
    return place;
}

template <typename T>
Volume<T> placed(const Volume<T>& volume, const Index3& first, const Geometry& grid, const std::string& source) {
    Volume<T> result(grid, T{0});
    std::int64_t outside = 0;
    const Index3 size = grid.size();
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y)
            for (std::int64_t x = 0; x < volume.nx(); ++x) {
                const T value = volume(x, y, z);
                if (value == 0) continue;
                const Index3 at{x + first[0], y + first[1], z + first[2]};
                if (at[0] < 0 || at[1] < 0 || at[2] < 0 || at[0] >= size[0] || at[1] >= size[1] || at[2] >= size[2])
                    ++outside;
                else
                    result(at[0], at[1], at[2]) = value;
            }
    if (outside > 0)
        throw DataError(source, fmt::format("{} labelled voxels lie outside the grid that it is compared on: {}",
                                            outside, grid.describe()));
    return result;
}

}  // namespace

LabelMap onGrid(LabelMap labels, const Geometry& grid, const std::string& source) {
    const auto place = placeOn(grid, labels.geometry());
    if (!place) return labels;
    return labels.visit([&](auto& volume) {
        using T = std::remove_cvref_t<decltype(volume.data()[0])>;
        const LabelTable table = labels.table();
        const AnyVolume aligned = turned(AnyVolume(std::move(volume)), place->turn);
        return LabelMap(placed(std::get<Volume<T>>(aligned), place->first, grid, source), table);
    });
}

Geometry commonGrid(const Geometry& a, const Geometry& b) {
    const auto place = placeOn(a, b);
    if (!place) return a;
    Index3 low{}, size{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        low[axis] = std::min<std::int64_t>(0, place->first[axis]);
        size[axis] = std::max(a.size()[axis], place->first[axis] + place->size[axis]) - low[axis];
    }
    Affine affine = a.affine();
    const Vec3 origin =
        a.voxelToWorld({static_cast<double>(low[0]), static_cast<double>(low[1]), static_cast<double>(low[2])});
    for (std::size_t row = 0; row < 3; ++row) affine[row][3] = origin[row];
    return {size, affine};
}

}  // namespace medseg
