// Meshes made fit for the screen.
#pragma once

#include "medseg/volume/mesh.h"

namespace medseg {

/// Merges all vertices within each cell of a grid of `cellMm` into their mean and drops the triangles that collapse
/// (Rossignac and Borrel 1993). cellMm > 0.
Mesh clusterVertices(const Mesh& mesh, double cellMm);

/// Removes voxel steps without shrinking: `passes` pairs of a smoothing and an expanding step towards the mean of the
/// neighbours (Taubin 1995, lambda 0.5, mu -0.53). Vertices at open borders move too.
Mesh smoothSurface(const Mesh& mesh, int passes);

}  // namespace medseg
