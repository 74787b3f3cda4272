// Label names inside NIfTI files: the XML of the Connectome Workbench ("Caret") that TotalSegmentator writes as a
// header extension.
#pragma once

#include <string>
#include <string_view>

#include "medseg/volume/label_map.h"

namespace medseg {

/// Labels of the first label table in `xml`; an empty table when there is none. Background (key 0), malformed, repeated
/// and out-of-range entries are left out: names are a courtesy, never a reason to refuse a file.
LabelTable parseLabelXml(std::string_view xml);

/// XML that TotalSegmentator's and nibabel-based readers understand.
std::string labelXml(const LabelTable& table);

}  // namespace medseg
