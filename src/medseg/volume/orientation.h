// Turning volumes so that their axes run in chosen directions, without touching any voxel's place in the world.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "medseg/volume/volume.h"

namespace medseg {

/// Which source axis each target axis takes, and whether it runs backwards.
struct AxisTurn {
    std::array<int, 3> source{0, 1, 2};
    std::array<bool, 3> flip{};

    bool isIdentity() const { return source == std::array<int, 3>{0, 1, 2} && flip == std::array<bool, 3>{}; }
};

/// The turn that gives `geometry` the orientation `codes`: one letter of each pair R/L, A/P, S/I in any order ("RAS",
/// "LPI", "SRA": 48 combinations), the direction each axis points TO. Case does not matter. For oblique volumes the
/// closest axes count. Throws UsageError for anything else.
AxisTurn turnTowards(const Geometry& geometry, const std::string& codes);

/// The grid after the turn: the same voxel centres in another order.
Geometry turned(const Geometry& geometry, const AxisTurn& turn);

/// The turn that brings `geometry` onto `grid` if both have the same voxel centres in another order, else nothing.
std::optional<AxisTurn> turnOnto(const Geometry& geometry, const Geometry& grid);

/// Voxels flipped and permuted; the affine follows, so that every voxel keeps its world position.
AnyVolume turned(const AnyVolume& volume, const AxisTurn& turn);

}  // namespace medseg
