// Smoothing of triangle meshes.
#pragma once

#include "medseg/volume/mesh.h"

namespace medseg {

/// Every step moves each vertex by `factor` of the way to the mean of its neighbours (uniform weights). Vertices on
/// open borders stay. Shrinks the object. Throws UsageError for negative iterations or a factor outside 0..1, DataError
/// for triangles that name missing vertices.
void smoothLaplacian(Mesh& mesh, int iterations, double factor = 0.5);

/// Taubin (1995): each iteration is a shrinking step of `shrink` and a growing step of `grow` (negative, a little
/// larger), which keeps the volume nearly unchanged.
void smoothTaubin(Mesh& mesh, int iterations, double shrink = 0.5, double grow = -0.53);

}  // namespace medseg
