// The structures of TotalSegmentator's task "total", version 2: names and order.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "medseg/volume/label_map.h"

namespace medseg {

/// The 117 names in label order: element i is label i + 1. Source: TotalSegmentator 2, class map "total".
const std::vector<std::string>& totalSegmentatorClasses();

/// Label id (1..117) of a structure, 0 if the list does not have it.
int totalSegmentatorId(std::string_view name);

/// The whole list as a label table.
LabelTable totalSegmentatorLabels();

}  // namespace medseg
