// Heat maps over a slice.
#pragma once

#include "medseg/report/overlay.h"

namespace medseg {

/// Image, prediction and `heat` (0..1, the image's geometry) over the image, from transparent through red and yellow to
/// white. Throws as renderOverlayRow, DataError when the heat has another geometry.
Canvas renderHeat(const OverlayCase& overlay, const Volume<float>& heat, const std::string& caption,
                  const OverlayOptions& options, const std::string& title);

}  // namespace medseg
