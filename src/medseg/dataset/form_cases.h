// The cases of a preparation into another trainer's files: images with a label file or a folder of masks each.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/label_reader.h"
#include "medseg/dataset/medsam_pairs.h"
#include "medseg/recipe/settings.h"

namespace medseg {

struct FormCases {
    std::vector<ImageLabelPair> pairs;                ///< `label` is a file, or a folder of masks
    LabelReader reader;                               ///< how to read the labels
    std::vector<CaseFailure> problems;                ///< labels without an image
    std::vector<std::filesystem::path> lonelyImages;  ///< images without labels
};

/// Cases below data.root by data.layout; auto looks for CASE/ct.nii.gz with CASE/segmentations (structures and their
/// order as discoverDataset() has them), then for CASE-image and CASE-label files, then for pairs in data.images and
/// data.labels_folder. Only names are looked at. Throws UsageError when no folder is given, DataError when it is
/// missing or holds no case.
FormCases findFormCases(const DataSettings& data);

/// CASE-image.nii.gz with CASE-label.nii.gz in `root` or in its folders (any image ending), ascending. An image without
/// its label goes to `problems`. Throws DataError when a folder cannot be listed.
std::vector<ImageLabelPair> findMarkedPairs(const std::filesystem::path& root, std::vector<CaseFailure>& problems);

/// "prostate_03.nii.gz" -> ".nii", "a.nrrd" -> ".nrrd", a folder -> "": what the SAM 3D scripts keep of a name.
std::string endingWithoutGz(const std::filesystem::path& image);

}  // namespace medseg
