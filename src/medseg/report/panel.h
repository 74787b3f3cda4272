// One picture of a slice at the resolution of the paper: grey values, coloured structures, outlines, differences.
#pragma once

#include <functional>

#include "medseg/imaging/window.h"
#include "medseg/report/raster.h"
#include "medseg/report/slice_view.h"

namespace medseg {

/// Grey picture of `width` x `height` pixels, bilinear between voxel centres; NaN is black.
RgbImage paintGray(const Plane2D<float>& plane, const Window& window, std::int64_t width, std::int64_t height);

/// Labels at `width` x `height` pixels. Each pixel takes the label with the largest bilinear weight among the four
/// surrounding voxels, which follows edges more smoothly than the nearest voxel and never invents a label.
Plane2D<int> magnifyLabels(const Plane2D<int>& plane, std::int64_t width, std::int64_t height);

/// Covers every labelled pixel with its colour at `opacity` and draws opaque outlines `outline` pixels wide (0: none)
/// inside each structure. `labels` has the picture's size.
void paintLabels(RgbImage& picture, const Plane2D<int>& labels, const std::function<Color(int)>& colorOf,
                 double opacity, double outline);

/// Draws only the outlines, in one colour.
void paintOutlines(RgbImage& picture, const Plane2D<int>& labels, Color color, double outline);

/// Colours of the difference picture.
namespace difference {
inline constexpr Color kAgreed{148, 163, 184};   ///< both have the same label
inline constexpr Color kMissed{230, 85, 20};     ///< only the reference has a label
inline constexpr Color kExtra{40, 170, 240};     ///< only the prediction has a label
inline constexpr Color kConfused{240, 210, 30};  ///< both have a label, but not the same
}  // namespace difference

/// Marks where reference and prediction differ, and agreement faintly. All have the picture's size.
void paintDifference(RgbImage& picture, const Plane2D<int>& reference, const Plane2D<int>& prediction);

/// Mean Dice over the labels that reference or prediction show in this slice; NaN if there is none.
double sliceDice(const Plane2D<int>& reference, const Plane2D<int>& prediction);

}  // namespace medseg
