// How the surface passes through a cube of dual marching cubes (Nielson 2004), as FlexiCubes (Shen et al. 2023) uses
// it. The table follows from the cube's corners, edges and faces; nothing is stored.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace medseg {

/// Corners are numbered x + 2 y + 4 z. Edges lead from the first to the second corner.
inline constexpr std::array<std::array<int, 2>, 12> kCubeEdges{
    {{0, 1}, {1, 5}, {4, 5}, {0, 4}, {2, 3}, {3, 7}, {6, 7}, {2, 6}, {2, 0}, {3, 1}, {7, 5}, {6, 4}}};

/// One of the 256 cases: bit i is set when corner i is inside.
struct DualCubeCase {
    /// Crossed edges of every dual vertex, ascending: loops around the cube in which the inside corners of an ambiguous
    /// face are kept apart. Up to 4 loops of up to 7 edges.
    std::vector<std::vector<int>> vertices;
    /// True when all crossed edges make one loop though one face is ambiguous. Two such cubes at that face would touch
    /// in an edge of four triangles; both then take the case with inside and outside swapped.
    bool ambiguous = false;
    std::array<int, 3> face{0, 0, 0};  ///< step to the neighbour across the ambiguous face
};

/// All cases, by number.
const std::array<DualCubeCase, 256>& dualCubeTable();

}  // namespace medseg
