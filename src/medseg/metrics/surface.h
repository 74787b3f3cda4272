// Distances between the surfaces of two segmentations of a structure, by three definitions in use. One pair of masks
// has three different HD95 values, so results say which definition they follow.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "medseg/metrics/overlap.h"

namespace medseg {

enum class SurfaceDefinition {
    /// Surface elements at the corners between voxels, found from 2x2x2 (2D: 2x2) neighbourhoods and weighted by their
    /// area
    /// (length) in mm^2 (mm); percentiles are weighted by area; volume borders count as surface. The definition of
    /// google-deepmind/surface-distance (Nikolov et al. 2018, arXiv 1809.04430).
    DeepMind,
    /// Centres of edge voxels (mask without its erosion by face neighbours; outside counts as background), each
    /// weighing the
    /// same; percentiles interpolate linearly, a direction at a time (MONAI's HausdorffDistanceMetric and SurfaceDice).
    Monai,
    /// The edge voxels of Monai; percentiles over the distances of both directions together (medpy's hd95).
    Medpy,
};

/// "deepmind", "monai", "medpy".
std::string nameOf(SurfaceDefinition definition);

/// Surface elements that lie equally far from the other surface and weigh the same.
struct DistanceGroup {
    double distance = 0;  ///< mm; infinite where the other surface is empty
    double weight = 0;    ///< of one element: mm^2 or mm (DeepMind), 1 (Monai, Medpy)
    std::int64_t count = 0;
};

/// Distances from every element of one surface to the nearest element of the other, ascending by (distance, weight).
class DirectedDistances {
  public:
    DirectedDistances() = default;
    explicit DirectedDistances(std::vector<DistanceGroup> ascendingGroups);

    const std::vector<DistanceGroup>& groups() const { return groups_; }
    bool empty() const { return count_ == 0; }
    std::int64_t count() const { return count_; }
    double totalWeight() const { return totalWeight_; }
    /// Weighted sum of distances (of squares) and of the weights of elements within `tolerance` mm.
    double weightedSum() const;
    double weightedSquareSum() const;
    double weightWithin(double tolerance) const;
    double mean() const;     ///< NaN if empty
    double largest() const;  ///< NaN if empty
    /// First distance at which the share of the total weight reaches percent/100 (DeepMind); infinite if empty.
    double weightedPercentile(double percent) const;
    /// Linear interpolation between order statistics (numpy's and torch's default); NaN if empty.
    double interpolatedPercentile(double percent) const;

  private:
    std::vector<DistanceGroup> groups_;
    std::int64_t count_ = 0;
    double totalWeight_ = 0;
};

/// Both directions of one structure, from which all surface metrics follow.
struct SurfaceDistances {
    SurfaceDefinition definition = SurfaceDefinition::DeepMind;
    DirectedDistances fromReference;   ///< reference surface -> prediction surface
    DirectedDistances fromPrediction;  ///< prediction surface -> reference surface

    bool bothEmpty() const { return fromReference.empty() && fromPrediction.empty(); }
    /// Hausdorff distance at `percent` (100: maximum), mm. Both surfaces empty: infinite (DeepMind), NaN (others). One
    /// empty: infinite; with Monai NaN below 100, where interpolation meets infinity, as MONAI gives.
    double hausdorff(double percent = 100) const;
    /// Mean distance of one surface to the other. An empty surface has NaN (DeepMind) or infinity (others); NaN if both
    /// are.
    double averageFromReference() const;
    double averageFromPrediction() const;
    /// Mean over the elements of both surfaces together, weighted.
    double averageSymmetric() const;
    /// Mean of the two directed means.
    double meanOfAverages() const;
    /// Share of both surfaces within `tolerance` mm of each other (normalised surface Dice); NaN if both are empty.
    double surfaceDice(double tolerance) const;
    /// Share of one surface within `tolerance` mm of the other; NaN if it is empty.
    double overlapOfReference(double tolerance) const;
    double overlapOfPrediction(double tolerance) const;
    /// Mean squared distance reference -> prediction plus prediction -> reference, mm^2.
    double chamfer() const;
};

/// A structure in one map; id 0 or below stands for a map without it.
struct StructureView {
    const LabelMap* map = nullptr;
    int id = 0;
    IndexBox box;  ///< holds all its voxels (Confusion::referenceBox()); empty: no voxel
};

/// Exact distances between the surfaces of two structures on the same grid. `isFlat`: a 2D image, measured by its
/// contours. Works inside the joint bounding box: 2 bits a voxel of the box for the surfaces and 16 to 24 bytes a
/// surface element; far surfaces add a distance table of at most 64 MiB a thread. Results do not depend on the number
/// of threads.
SurfaceDistances surfaceDistances(const StructureView& reference, const StructureView& prediction, bool isFlat,
                                  SurfaceDefinition definition = SurfaceDefinition::DeepMind);

/// Finds the boxes itself; throws DataError for maps of different size.
SurfaceDistances surfaceDistances(const LabelMap& reference, const LabelMap& prediction, int id, bool isFlat = false,
                                  SurfaceDefinition definition = SurfaceDefinition::DeepMind);

}  // namespace medseg
