// Triangle meshes in world coordinates.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "medseg/volume/label_map.h"

namespace medseg {

/// Vertices in RAS+ mm; triangles are counter-clockwise seen from outside, so that normals point out of the object.
struct Mesh {
    std::vector<std::array<float, 3>> vertices;
    std::vector<std::array<std::uint32_t, 3>> triangles;

    bool empty() const { return triangles.empty(); }
};

/// The surface of one structure.
struct LabelMesh {
    Label label;  ///< id, name and colour
    Mesh mesh;
};

}  // namespace medseg
