// B-splines on a regular grid: interpolation weights and the recursive prefilter (Unser, Aldroubi and Eden 1991), with
// the border rules of scipy.ndimage.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace medseg {

/// How a line of n samples goes on beyond its ends, for interpolation and filtering; scipy's names.
enum class Boundary {
    Nearest,       ///< a a a | a b c | c c c
    Reflect,       ///< b a a-edge: c b a | a b c | c b a  (half-sample symmetric)
    Mirror,        ///< c b | a b c | b a              (whole-sample symmetric)
    Constant,      ///< the fill value wherever the coordinate is outside [0, n-1]
    GridConstant,  ///< samples outside are the fill value; coordinates outside interpolate towards it
    GridWrap,      ///< a b c | a b c | a b c
    Wrap           ///< scipy's "wrap" of interpolation: first and last sample coincide (period n-1)
};

/// "nearest", "reflect", "mirror", "constant", "grid-constant", "grid-wrap", "wrap". Throws UsageError.
Boundary boundaryFromName(const std::string& name);

constexpr int kMaxSplineOrder = 5;

/// Maps a coordinate into [0, n-1] (-1 where a Constant boundary has nothing to interpolate).
double mapCoordinate(double coordinate, std::int64_t n, Boundary boundary);
/// Maps a sample index to the index that holds its value, -1 for the fill value of the constant boundaries.
std::int64_t mapIndex(std::int64_t index, std::int64_t n, Boundary boundary);

/// Weights of the order+1 samples from splineStart(coordinate, order) on.
std::int64_t splineStart(double coordinate, int order);
using SplineWeights = std::array<double, kMaxSplineOrder + 1>;
SplineWeights splineWeights(double coordinate, int order);

/// Symmetry that the prefilter assumes at both ends of a line.
enum class LineEnds { Mirror, Reflect, Periodic };
/// The one that scipy uses with `boundary`; Nearest and GridConstant also pad the line by prefilterPadding() samples.
LineEnds prefilterEnds(Boundary boundary);
int prefilterPadding(Boundary boundary, int order);

/// Turns samples into B-spline coefficients, in place, for `lanes` lines at once: sample i of line l is
/// data[i * stride + l]. Orders 0 and 1 and lines of one sample are left alone.
void splinePrefilter(double* data, std::int64_t n, std::int64_t stride, std::int64_t lanes, int order, LineEnds ends);

}  // namespace medseg
