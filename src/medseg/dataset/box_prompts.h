// Boxes as prompts: from masks, from RECIST lines, from label maps.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "medseg/volume/label_map.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// Corners in pixels of a slice: x0 <= x1, y0 <= y1.
struct PixelBox {
    double x0 = 0, y0 = 0, x1 = 0, y1 = 0;

    double area() const { return (x1 - x0) * (y1 - y0); }
    bool operator==(const PixelBox&) const = default;
};

/// Where a widened box ends at the right and at the bottom.
enum class BoxLimit {
    Size,      ///< at the width and height, one past the last pixel: MedSAM2
    LastPixel  ///< at the last pixel
};

/// Smallest and largest index of pixels equal to `label`, `shift` pixels wider on each side within the slice; nothing
/// when there is none. Instantiated for uint8 and uint16.
template <typename T>
std::optional<PixelBox> boxOfLabel(SliceView<const T> slice, int label, double shift, BoxLimit limit);

/// The square box around a RECIST line (pixels above 0): the first and the last pixel in reading order are its ends,
/// half its truncated length reaches from the truncated centre, `shift` wider. Nothing without pixels. As in MedSAM2.
std::optional<PixelBox> boxOfLine(SliceView<const std::uint8_t> slice, int shift);

/// A box on one slice for one label.
struct SliceBox {
    int label = 0;
    std::int64_t slice = 0;
    PixelBox box;
};

/// Boxes of one label on all slices where it occurs, ascending, with the pixel counts that they were measured on.
struct LabelBoxes {
    int label = 0;
    std::vector<SliceBox> boxes;
    std::vector<std::int64_t> pixels;
};

/// For every label in ascending order.
std::vector<LabelBoxes> labelBoxesBySlice(const LabelMap& labels, double shift, BoxLimit limit);

}  // namespace medseg
