// Fewer triangles for the same shape.
#pragma once

#include <cstddef>

#include "medseg/volume/mesh.h"

namespace medseg {

struct DecimationOptions {
    std::size_t targetTriangles = 0;
    double maxErrorMm =
        1e30;  ///< stops before a vertex would leave the original planes by more (root of the quadric error)
};

/// Edge collapse by quadric error (Garland and Heckbert 1997): cheapest edge first, the new vertex where the error of
/// the planes that met there is least. Collapses that would make the surface non-manifold or turn a triangle over are
/// left out, so closed meshes stay closed; border edges stay where they are. Deterministic. May stop above the target.
/// Throws DataError for triangles that name missing vertices.
void decimate(Mesh& mesh, const DecimationOptions& options);

}  // namespace medseg
