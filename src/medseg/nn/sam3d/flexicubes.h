// Differentiable surfaces of fields on cubes: FlexiCubes (Shen et al. 2023, "Flexible isosurface extraction for
// gradient-based mesh optimization"). Which cubes the surface crosses and how is decided from signs; positions,
// attributes and the regulariser carry gradients to field, corner positions and weights.
#pragma once

#include <torch/torch.h>

namespace medseg {

struct FlexiCubesGrid {
    torch::Tensor positions;    ///< (corners, 3)
    torch::Tensor distance;     ///< (corners): negative inside
    torch::Tensor cubes;        ///< (n, 8) int64: corner rows, corner x + 2 y + 4 z; corners ascend by (x, y, z)
    torch::Tensor coordinates;  ///< (n, 3) int64, ascending by (x, y, z), none negative, below 2^20
    torch::Tensor beta;         ///< (n, 12) raw weights of crossings, or undefined: all 1
    torch::Tensor alpha;        ///< (n, 8) raw weights of corners, or undefined: all 1
    torch::Tensor gamma;        ///< (n) raw weights of splits, or undefined: all 1
    torch::Tensor attributes;   ///< (corners, a) raw values, sigmoid applied; or undefined
};

struct FlexiCubesMesh {
    torch::Tensor vertices;    ///< (v, 3)
    torch::Tensor faces;       ///< (f, 3) int64, counter-clockwise seen from outside
    torch::Tensor attributes;  ///< (v, a) in 0..1, or undefined
    /// One value for every dual vertex and crossed edge of its loop: how much the distance of the vertex to the plain
    /// crossing differs from the vertex's mean.
    torch::Tensor deviation;
};

/// `training`: four triangles around a centre for every quad, so that its split gets gradients; else two. A surface
/// that reaches cubes without neighbours ends there. Without a crossing the mesh is empty.
FlexiCubesMesh flexiCubes(const FlexiCubesGrid& grid, bool training);

}  // namespace medseg
