// Distances between point sets, such as the vertices of two surfaces.
#pragma once

#include <span>
#include <vector>

#include "medseg/volume/geometry.h"

namespace medseg {

/// Distance of every point of `from` to the nearest point of `to` (same unit); infinite if `to` is empty. Exact; a k-d
/// tree of 25 bytes a point of `to`; parallel.
std::vector<double> nearestPointDistances(std::span<const Vec3> from, std::span<const Vec3> to);

/// What reconstruction papers report about two point sets. All infinite if exactly one set is empty, or both.
struct PointSetDistances {
    double chamferSquared = 0;  ///< mean squared nearest distance a -> b plus b -> a, mm^2
    double chamferL1 = 0;       ///< mean of the two mean nearest distances, mm
    double hausdorff = 0;       ///< largest nearest distance, mm
};

PointSetDistances pointSetDistances(std::span<const Vec3> a, std::span<const Vec3> b);

}  // namespace medseg
