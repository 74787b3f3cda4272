// NRRD volumes (.nrrd, .nhdr with a data file beside it) and 3D Slicer's segmentations in them (.seg.nrrd).
// Format: https://teem.sourceforge.net/nrrd/format.html. Usually reached through image_file.h.
#pragma once

#include <filesystem>

#include "medseg/io/deflate.h"
#include "medseg/io/image_file.h"

namespace medseg {

bool isNrrdName(const std::filesystem::path& path);
/// True if `bytes` start like a NRRD file.
bool looksLikeNrrd(ByteSpan bytes);

/// Two or three axes in space, and at most one axis more (vectors, time, segment layers), which counts volumes.
/// Encodings raw and gzip; a detached data file must lie in the header's folder. Coordinates without "space" count as
/// LPS, as in ITK. Label names and colours of a .seg.nrrd become the header's label table. Throws DataError.
ImageHeader readNrrdHeader(const std::filesystem::path& path);
/// A .seg.nrrd of several layers is merged: ids stay where they are unique, else they are 1, 2, 3 ... in the order of
/// the segments. Segments that overlap are an error that names them (read one layer with options.volumeIndex).
StoredImage readNrrd(const std::filesystem::path& path, const ReadOptions& options);

/// Writes atomically with gzip encoding (.nhdr: voxels in NAME.raw.gz), space left-posterior-superior. A name that ends
/// in .seg.nrrd gets the label table as 3D Slicer's segments; names are lost elsewhere. Throws WorkError.
void writeNrrd(const std::filesystem::path& path, const AnyVolume& volume, const LabelTable& labels, int level);

}  // namespace medseg
