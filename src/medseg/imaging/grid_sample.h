// torch.nn.functional.grid_sample and affine_grid on volumes and slices (a slice is a volume with nz = 1).
#pragma once

#include <array>
#include <span>
#include <vector>

#include "medseg/volume/volume.h"

namespace medseg {

enum class GridSampleMode {
    Linear,
    Nearest,  ///< halves to even
    Cubic     ///< a = -0.75; slices only
};
enum class GridPadding { Zeros, Border, Reflection };

struct GridSampleOptions {
    GridSampleMode mode = GridSampleMode::Linear;
    GridPadding padding = GridPadding::Zeros;
    bool alignCorners = false;
};

/// Samples at normalised coordinates: `grid` holds (x, y, z) for each output value with -1 and 1 at the ends of the
/// axis (centres of the end voxels with alignCorners, their outer edges without); z is ignored for slices. Coordinates
/// are computed in float as torch does. Coordinates that are not finite count as far outside. Throws UsageError for
/// Cubic on a volume.
std::vector<float> gridSample(const Volume<float>& volume, std::span<const std::array<float, 3>> grid,
                              const GridSampleOptions& options = {});

/// torch's affine_grid for a slice: theta (2x3) applied to the normalised coordinates of a width x height grid, row by
/// row.
std::vector<std::array<float, 3>> affineGrid(const std::array<std::array<double, 3>, 2>& theta, std::int64_t width,
                                             std::int64_t height, bool alignCorners);

}  // namespace medseg
