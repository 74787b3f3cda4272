// Colours as DICOM recommends them.
#pragma once

#include <vector>

#include "medseg/volume/label_map.h"

namespace medseg::dicom {

/// sRGB of a RecommendedDisplayCIELabValue (PS3.3, C.10.7.1.1): three 16-bit numbers, L* from 0 to 100, a* and b* from
/// -128 to 127, white point D50 as in ICC profiles.
Color fromDicomCieLab(const std::vector<int>& lab);

}  // namespace medseg::dicom
