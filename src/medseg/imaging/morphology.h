// Binary morphology on masks (0 is background, everything else foreground), with scipy.ndimage's conventions.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/volume/volume.h"

namespace medseg {

/// Offsets (x, y, z) of the voxels of a structuring element, symmetric about its centre (0, 0, 0), which belongs to it.
struct StructuringElement {
    std::vector<Index3> offsets;

    /// Neighbours with at most `connectivity` coordinates that differ (scipy's generate_binary_structure): 1, 2 or 3
    /// in `dimensions` 3 (6, 18, 26 neighbours), 1 or 2 in 2 (4, 8).
    static StructuringElement neighbours(int connectivity, int dimensions = 3);
    /// x^2 + y^2 + z^2 <= radius^2 in voxels; a disc for 2 dimensions.
    static StructuringElement ball(double radius, int dimensions = 3);
    /// The same in millimetres for a spacing.
    static StructuringElement ballMm(double radiusMm, const Vec3& spacing);
};

struct MorphologyOptions {
    int iterations = 1;
    bool borderValue = false;  ///< value of the voxels beyond the border: scipy's border_value
};

/// Results are 0 or 1. With borderValue 0, erosion and the erosion of a closing eat foreground at the border, as in
/// scipy. Memory: one byte a voxel for each further iteration or step. Throws DataError for a volume without voxels and
/// UsageError for fewer than one iteration.
Volume<std::uint8_t> erode(const Volume<std::uint8_t>& mask, const StructuringElement& element,
                           const MorphologyOptions& options = {});
Volume<std::uint8_t> dilate(const Volume<std::uint8_t>& mask, const StructuringElement& element,
                            const MorphologyOptions& options = {});
/// `iterations` erosions, then as many dilations.
Volume<std::uint8_t> openMask(const Volume<std::uint8_t>& mask, const StructuringElement& element,
                              const MorphologyOptions& options = {});
/// `iterations` dilations, then as many erosions.
Volume<std::uint8_t> closeMask(const Volume<std::uint8_t>& mask, const StructuringElement& element,
                               const MorphologyOptions& options = {});

enum class HoleKind {
    Volume,  ///< background that no path of face neighbours joins to the border of the volume
    Slices   ///< the same within each slice (4 neighbours)
};
/// Sets holes to 1 (and foreground to 1). `fullNeighbours` lets the background join diagonally (26 or 8 neighbours).
Volume<std::uint8_t> fillHoles(const Volume<std::uint8_t>& mask, HoleKind kind = HoleKind::Volume,
                               bool fullNeighbours = false);

}  // namespace medseg
