// Surfaces of masks, label maps and scalar fields by marching cubes (Lorensen and Cline 1987). The table of cases is
// built from one rule for ambiguous faces (the corners above the level are kept apart), which neighbouring cells share:
// surfaces are closed and every edge belongs to two triangles.
#pragma once

#include <vector>

#include "medseg/volume/label_map.h"
#include "medseg/volume/mesh.h"
#include "medseg/volume/volume.h"

namespace medseg {

struct SurfaceOptions {
    /// Treats everything beyond the volume as outside, half a voxel behind the outermost centres: objects that reach
    /// the border are closed there. Without it the surface ends at the outermost centres, open.
    bool closeBorder = true;
};

/// Surface where `field` crosses `level`; the object is where values are above it (NaN counts as below). Vertices lie
/// on the edges between voxel centres by linear interpolation, each exactly once, in world coordinates; normals point
/// to lower values, also when the affine mirrors. Instantiated for uint8, int16, uint16, float and double. Memory
/// beyond the mesh: a few slices a thread. Throws DataError for a volume without voxels.
template <typename T>
Mesh extractSurface(const Volume<T>& field, double level, const SurfaceOptions& options = {});

/// Surface of the voxels equal to `label`, vertices half-way between voxels. Instantiated for uint8 and uint16.
template <typename T>
Mesh extractLabelSurface(const Volume<T>& labels, T label, const SurfaceOptions& options = {});

struct LabelSurfaceOptions {
    bool closeBorder = true;
    /// Sigma in mm of a Gaussian over each label's mask before its surface is taken at 0.5; 0 for none.
    double smoothingMm = 0;
};
/// Surfaces of all labels that occur (or of those in `ids`), in ascending id; each looks only at its bounding box.
std::vector<LabelMesh> extractLabelSurfaces(const LabelMap& labels, const LabelSurfaceOptions& options = {},
                                            const std::vector<int>& ids = {});

}  // namespace medseg
