// The text at the start of a NRRD file.
#pragma once

#include "medseg/io/text_header.h"

namespace medseg {

/// Throws DataError: damaged, contradictory or unsupported header; a data file outside the folder.
TextHeaderImage readNrrdText(const std::filesystem::path& path);

/// The header for voxels of `type` (numpy's name) on `geometry`; `dataFile` empty: the voxels follow. `metadata`:
/// key and value pairs.
std::string nrrdText(const Geometry& geometry, std::string_view type, const std::string& dataFile,
                     const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace medseg
