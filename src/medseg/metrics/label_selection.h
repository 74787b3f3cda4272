// Which structures are evaluated, and what they are called.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/volume/label_map.h"

namespace medseg {

/// Reads names and ids of labels from
/// - JSON: {"name": id}, {"id": "name"}, ["name of 1", "name of 2"], or an object with one of these under "labels" or
///   "label_map" (nnU-Net's dataset.json);
/// - text: one name a line for ids 1, 2, ..., or "id name".
/// Background (id 0, "background") is left out. Where id 0 has another name the file maps structures to output
/// channels, and ids are channels + 1 (label_map.json of the U-Net notebooks). Throws DataError naming the file.
LabelTable readLabelTable(const std::filesystem::path& path);

/// The entries of `wanted` (names or ids, in any mix) as they stand in `table`. An id that the table does not know is
/// taken as it is when the table is empty. Throws UsageError for an unknown name, with the nearest known one.
LabelTable selectLabels(const std::vector<std::string>& wanted, const LabelTable& table);

}  // namespace medseg
