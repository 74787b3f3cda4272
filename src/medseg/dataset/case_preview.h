// Small pictures of a case for the contact sheet of a preparation.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/imaging/window.h"
#include "medseg/io/image_file.h"
#include "medseg/volume/label_map.h"

namespace medseg {

/// Which of `count` slices become tiles: at most six, evenly spread, ascending.
std::vector<std::int64_t> previewTiles(std::int64_t count);

/// Values to show as black and white: soft tissue (-160 to 240) where values reach below -500 as those of CT do, else
/// percentiles 0.5 and 99.5 of evenly spaced samples.
ValueRange previewRange(std::span<const float> values);

/// `value` as a byte; `range` maps to 0..255.
std::uint8_t previewByte(double value, const ValueRange& range);

/// Adds a slice of rows x columns, shrunk to at most 160 pixels by leaving some out. gray(row, column) and label(row,
/// column) give bytes. All slices of a preview have one size.
template <typename Gray, typename Label>
void addPreviewTile(CasePreview& preview, std::int64_t rows, std::int64_t columns, const Gray& gray,
                    const Label& label) {
    constexpr std::int64_t kMostPixels = 160;
    const std::int64_t longer = std::max(rows, columns), side = std::min(longer, kMostPixels);
    preview.width = std::max<std::int64_t>(1, columns * side / longer);
    preview.height = std::max<std::int64_t>(1, rows * side / longer);
    for (std::int64_t y = 0; y < preview.height; ++y)
        for (std::int64_t x = 0; x < preview.width; ++x) {
            const std::int64_t row = y * rows / preview.height, column = x * columns / preview.width;
            preview.gray.push_back(gray(row, column));
            preview.labels.push_back(label(row, column));
        }
}

/// Axial slices of the labelled part (of the whole volume without labels), the patient's right on the left. Labels
/// above 255 share the bytes of lower ones. `image` and `labels` have one grid; `labels` may be null.
CasePreview previewOfVolume(const StoredImage& image, const LabelMap* labels);

}  // namespace medseg
