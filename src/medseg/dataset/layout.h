// Where a dataset keeps its cases: TotalSegmentator case folders, or image/label pairs told apart by suffix.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "medseg/recipe/settings.h"
#include "medseg/volume/label_map.h"

namespace medseg {

/// One patient: an image and where its labels are. Either `labelFile` or `maskFolder` is set.
struct Case {
    std::string id;
    std::filesystem::path image;
    std::filesystem::path labelFile;   ///< pairs: one file with all labels
    std::filesystem::path maskFolder;  ///< case folders: one 0/1 mask per structure, <name>.nii.gz
};

enum class Layout { TotalSegmentator, Pairs };

/// Cases in ascending id, and what is to be segmented.
struct Dataset {
    std::filesystem::path root;
    Layout layout = Layout::TotalSegmentator;
    std::vector<Case> cases;
    /// Output labels 1..n: all 117 TotalSegmentator structures, the names of dataset.json, or `structures` of the
    /// settings in their order.
    LabelTable labels;
    /// Case folders: masks with names outside `labels` are left alone (the structures were listed) instead of an error.
    bool ignoreOtherMasks = false;
    /// Pairs: output label of each value that may stand in a label file, index = value, 0 = not wanted, -1 = unknown
    /// value. Value 0 is background.
    std::vector<int> outputOfValue;
};

/// Cases with CASE/ct.nii.gz (or another image that the layout knows) below `root`, ascending; `root` itself may be the
/// one case. Empty when there is none. Throws DataError when the folder cannot be listed.
std::vector<Case> findCaseFolders(const std::filesystem::path& root);

/// Names of the values 1 and above that a dataset.json gives (nnU-Net's "name": id and the older "id": name form).
/// Throws DataError when it has none that can be read, or regions of several values.
std::map<int, std::string> readDatasetLabels(const std::filesystem::path& file);

/// The settings with the suffixes that root/dataset.json states as "file_ending", where they are left at their default.
DataSettings withDatasetEnding(const DataSettings& settings);

/// Finds the cases below settings.root. Only names are looked at, and dataset.json (nnU-Net's "name": id and the older
/// "id": name form) or, without it, the label table in the first label file.
/// Throws DataError when the folder is missing or holds no case (naming what was looked for), when a name in
/// `structures` exists nowhere (with the nearest known name), or when labels of pairs have no names.
Dataset discoverDataset(const DataSettings& settings);

}  // namespace medseg
