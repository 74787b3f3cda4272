// Slices as MedSAM and MedSAM2 train on them: one .npy file for each image and each label slice.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "medseg/imaging/spline.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// A slice of bytes resized as skimage.transform.resize(order=3, preserve_range=True, anti_aliasing=True) does it, in
/// double precision: rows * columns values, row 0 first, clipped to the range of the slice (as scikit-image does: down
/// to 0 if the result reaches the border value 0). `border` Constant (zeros around the slice, MedSAM) or Mirror.
std::vector<double> resizeSliceCubic(SliceView<const std::uint8_t> slice, std::int64_t rows, std::int64_t columns,
                                     Boundary border = Boundary::Constant);

/// (v - min) / max(max - min, 1e-8), in place.
void normalizeToUnit(std::vector<double>& values);

enum class MedsamSliceStyle {
    Float,  ///< MedSAM: image resized, three equal channels 0..1 as float64; labels by the pixel under the centre
    Bytes   ///< MedSAM2: image at its own size, three equal channels of bytes; labels by OpenCV's nearest
};

/// Writes folder/imgs/NAME-NUMBER.npy and folder/gts/NAME-NUMBER.npy, NUMBER with at least three digits; the two
/// folders must exist. The image is (rows, columns, 3), labels are uint8 (rows, columns); `size` is {rows, columns} of
/// what is resized. Throws WorkError.
void writeMedsamSlice(SliceView<const std::uint8_t> image, SliceView<const std::uint8_t> labels, MedsamSliceStyle style,
                      const std::array<int, 2>& size, const std::filesystem::path& folder, const std::string& name,
                      std::int64_t number);

/// writeMedsamSlice() for all slices of two volumes of one size, numbered from 0, with the folders. Throws WorkError,
/// InterruptedError.
void writeMedsamSlices(const Volume<std::uint8_t>& images, const Volume<std::uint8_t>& labels, MedsamSliceStyle style,
                       const std::array<int, 2>& size, const std::filesystem::path& folder, const std::string& name);

}  // namespace medseg
