// Slice caches of SAM 3D's preparation: one .npz a slice, with its image, mask, 3D points and place in the volume.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/sam3d_volume.h"

namespace medseg {

/// Which voxel index the points of a slice are computed from.
enum class PointmapRule {
    Exact,  ///< affine * (i, j, k) of the pixel
    Legacy  ///< the permuted indices of the Python scripts: (j,i,k), (j,k,i), (j,i,k) for axes 0, 1, 2
};

/// One slice across index axis 0 (rows j, columns k), 1 (rows i, columns k) or 2 (rows i, columns j).
struct Sam3dSlice {
    int axis = 0;
    std::int64_t index = 0;
    std::int64_t height = 0;
    std::int64_t width = 0;
    std::vector<float> image;        ///< height * width, intensities as they are; three equal channels in the file
    std::vector<std::uint8_t> mask;  ///< height * width, label values
    std::vector<float> pointmap;     ///< 3 * height * width, RAS+ mm of foreground pixels, NaN elsewhere
};

/// Throws UsageError unless axis is 0..2 and the index lies in the volume.
Sam3dSlice sam3dSlice(const Sam3dVolume& volume, int axis, std::int64_t index, PointmapRule rule);

/// Indices of the slices across `axis` at least `ratio` of whose pixels are foreground, ascending.
std::vector<std::int64_t> slicesWithForeground(const Sam3dVolume& volume, int axis, double ratio);

/// "s0001.nii_axis2_slice0062.npz" for case id "s0001.nii".
std::string sam3dSliceName(const std::string& caseId, int axis, std::int64_t index);

/// Writes image float32 (3,H,W), mask uint8 (H,W), pointmap float32 (3,H,W), affine float64 (4,4), slice_idx and axis
/// int64, gt_sdf_path text. Compressed and atomic. Throws WorkError.
void writeSam3dSlice(const std::filesystem::path& path, const Sam3dSlice& slice, const Affine& affine,
                     const std::string& distanceFile);

/// Index axis from "0", "1", "2" or "i", "j", "k". Throws UsageError.
int sam3dAxisFromName(const std::string& name);

}  // namespace medseg
