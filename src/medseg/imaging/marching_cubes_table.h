// The 256 cases of marching cubes.
#pragma once

#include <array>
#include <cstdint>

namespace medseg {

/// Corner (dx, dy, dz) of a cell has bit dy + 2 dz + 4 dx. Edge numbers: 0..3 along x at (dy, dz), 4..7 along y at
/// (dx, dz), 8..11 along z at (dx, dy), the first of the pair counting 1 and the second 2.
struct CubeCase {
    std::uint8_t triangles = 0;
    std::array<std::uint8_t, 30>
        edges{};  ///< three a triangle, counter-clockwise seen from outside (right-handed axes)
};

/// Built once, from the rule that on a face whose diagonal corners are inside each of the two is cut off on its own.
const std::array<CubeCase, 256>& cubeCases();

}  // namespace medseg
