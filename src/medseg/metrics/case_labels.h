// One side of a case, read: a label map, or masks by name that are read when they are needed.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "medseg/metrics/case_pairing.h"
#include "medseg/volume/label_map.h"

namespace medseg {

enum class CaseSide { Reference, Prediction };

/// A label map and whether it is flat: 2D files are measured by contours, 3D files of one slice by surfaces.
struct LabelImage {
    LabelMap map;
    bool isFlat = false;
    std::string source;           ///< file name, for messages
    bool spansOwnFrames = false;  ///< a DICOM segmentation: only the frames with segments
};

/// Puts a side that spans its own frames on the grid of the other one, two of them on their common grid. Throws
/// DataError as onGrid().
void matchGrids(LabelImage& reference, LabelImage& prediction);

/// Reads any image as labels. Of an npz file the array "gts" (reference) or "segs" (prediction), or else the only array
/// that can be a label map; its "spacing" (x, y, z mm) becomes the geometry. Throws DataError.
LabelImage readLabelImage(const std::filesystem::path& path, CaseSide side);

/// A mask file as label map with id 1 where the file is not 0.
LabelImage readMask(const std::filesystem::path& path, CaseSide side);

/// An empty map on the grid of `other`.
LabelImage emptyLike(const LabelImage& other);

}  // namespace medseg
