// Lungs in a CT by threshold and components, without any network.
#pragma once

#include <cstdint>

#include "medseg/volume/volume.h"

namespace medseg {

/// Limits of the search.
struct LungRules {
    double airHu = -400;          ///< voxels below are air or lung
    double closingMm = 4;         ///< vessels and dense spots up to about twice this width are closed
    double smallestMl = 100;      ///< smaller pieces are no lung
    double smallestShare = 0.15;  ///< of the larger lung: below it the second piece is no lung
};

/// Labels of the lungs: 1 the right one, 2 the left one of the patient; both 1 where they touch. Air that reaches the
/// left, right, front or back border of the grid is outside the body. All 0 when no lung is found. `image` in HU.
Volume<std::uint8_t> segmentLungs(const Volume<float>& image, const LungRules& rules = {});

}  // namespace medseg
