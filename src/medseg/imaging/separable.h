// Separable resampling: every output sample of an axis is a weighted sum of a few input samples of that axis. All
// resizes and zooms (scipy, scikit-image, torch, OpenCV's float path) are this engine with different weights.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "medseg/imaging/spline.h"
#include "medseg/volume/geometry.h"

namespace medseg {

/// What one axis does. Lines may be padded and turned into B-spline coefficients before they are sampled.
struct AxisMap {
    std::int64_t inputLength = 1;
    std::int64_t outputLength = 1;
    int taps = 1;
    std::vector<std::int32_t> index;    ///< outputLength x taps, into the padded line
    std::vector<double> weight;         ///< outputLength x taps
    std::vector<double> fillWeight;     ///< outputLength: share of the fill value (empty: none)
    std::vector<std::uint8_t> outside;  ///< outputLength: 1 = the result is the fill value (empty: never)
    int splineOrder = 0;                ///< prefilter of this order when above 1
    LineEnds splineEnds = LineEnds::Mirror;
    int padding = 0;           ///< samples added at both ends before the prefilter
    bool padWithFill = false;  ///< with the fill value; else with the end sample

    std::int64_t paddedLength() const { return inputLength + 2 * padding; }
    bool isIdentity() const;
};

AxisMap identityAxis(std::int64_t length);
/// Samples a line at `coordinates` (sample i sits at i) by a B-spline of `order` 0..5, as scipy.ndimage does it.
AxisMap splineAxis(std::int64_t inputLength, const std::vector<double>& coordinates, int order, Boundary boundary);
/// Linear interpolation at `coordinates`, clamped to the line.
AxisMap linearAxis(std::int64_t inputLength, const std::vector<double>& coordinates);
/// out[i] = in[index[i]]; the indices must lie inside the line.
AxisMap gatherAxis(std::int64_t inputLength, const std::vector<std::int64_t>& index);
/// One entry an output sample: first input sample and the weights from there on; indices are clamped to the line.
AxisMap weightedAxis(std::int64_t inputLength, const std::vector<std::int64_t>& first,
                     const std::vector<std::vector<double>>& weights);

/// Coordinates of half-pixel centres: (i + 0.5) * in / out - 0.5.
std::vector<double> halfPixelCoordinates(std::int64_t inputLength, std::int64_t outputLength);

/// Resamples x-fastest data of `size` through maps[0] (x), maps[1] (y), maps[2] (z), in double precision within a line
/// and rounded to float between the slices and the third axis (to double where In or Out has 32 bit integers or
/// double). Integer outputs are rounded half away from zero and clamped. Needs 4 bytes an
/// intermediate voxel (output x and y by input z) when the third axis is not the identity.
template <typename In, typename Out>
void resampleSeparable(const In* in, const Index3& size, const std::array<AxisMap, 3>& maps, double fill, Out* out,
                       std::int64_t inRowStride = 0, std::int64_t outRowStride = 0);

}  // namespace medseg
