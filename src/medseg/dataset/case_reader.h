// Reading one case: its image and its labels on one grid.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "medseg/dataset/layout.h"
#include "medseg/io/image_file.h"

namespace medseg {

/// A segmentation whose structures may overlap: each structure lies wholly in one layer, and no two structures of a
/// layer overlap. Most datasets need one layer.
struct LabelLayers {
    std::vector<LabelMap> layers;  ///< at least one; all with the table of the dataset
};

/// Image of the case as stored. Throws DataError.
StoredImage readCaseImage(const Case& item);

/// Labels of the case in the dataset's output labels. Masks are read a few at a time, in parallel, and merged as run
/// lists: memory is that of the label map, not of 117 volumes. A structure without a mask file is empty.
/// `geometry` and `imageName` are those of the case's image. Throws DataError when a file is damaged, when its grid
/// differs from the image's (naming both), on a mask whose name the dataset does not know (with the nearest known name,
/// unless the structures were listed), on label values without a name, and when there is no label file or mask folder.
LabelLayers readCaseLabels(const Dataset& dataset, const Case& item, const Geometry& geometry);

/// All files of the case, for fingerprints: image first, then label files in ascending name.
std::vector<std::filesystem::path> caseFiles(const Case& item);

}  // namespace medseg
