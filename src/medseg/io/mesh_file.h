// Mesh files: Wavefront OBJ, PLY and STL.
#pragma once

#include <filesystem>
#include <span>

#include "medseg/volume/mesh.h"

namespace medseg {

/// Writes the meshes into one file; the format follows from the ending:
///   .obj  one named object a mesh, coloured through a material file of the same name ending in .mtl
///   .ply  binary, little endian, a colour at every vertex
///   .stl  binary; triangles only, no names or colours
/// Vertices are written as they are: RAS+ mm. Atomic. Throws UsageError for another ending, DataError for a triangle
/// that names a missing vertex, WorkError when writing fails.
void writeMeshes(const std::filesystem::path& path, std::span<const LabelMesh> meshes);

/// Reads one file of these formats (ASCII or little-endian binary for PLY and STL) as one mesh; faces of more than
/// three vertices are split. STL vertices at the same position become one. Throws DataError, with the file's name, for
/// what is damaged or not supported.
Mesh readMesh(const std::filesystem::path& path);

bool isMeshName(const std::filesystem::path& path);

}  // namespace medseg
