// Post-processing of segmentations: what networks leave that anatomy does not have.
#pragma once

#include <cstdint>

#include "medseg/volume/label_map.h"

namespace medseg {

struct LabelCleanup {
    double smoothMm = 0;            ///< Gaussian votes across slices (axis z), sigma in mm; 0 = off
    std::int64_t smallVoxels = 0;   ///< removes 26-connected components of fewer voxels; 0 = off
    bool largestComponent = false;  ///< keeps of every label its largest 26-connected component only
    bool fillHoles = false;         ///< background enclosed by one label, in the volume, becomes that label

    bool any() const { return smoothMm > 0 || smallVoxels > 0 || largestComponent || fillHoles; }
};

/// Smooths, removes components and fills holes, in this order, each where asked for. Labels never grow into each other:
/// a hole is background that only one label and the hole itself touch. Throws UsageError for negative values and
/// DataError for a volume without voxels.
void cleanLabels(LabelMap& labels, const LabelCleanup& cleanup);

/// Gives every 6-connected background region that touches neither the border of the volume nor more than one label to
/// that label. Returns the number of voxels filled.
template <typename T>
std::int64_t fillLabelHoles(Volume<T>& labels);

}  // namespace medseg
