// Which voxels form the slices that a 2D network sees, whatever the orientation of the file.
#pragma once

#include <cstdint>
#include <string>

#include "medseg/volume/geometry.h"

namespace medseg {

/// The plane of the slices.
enum class SliceAxis { Axial, Coronal, Sagittal };

/// "axial", "coronal", "sagittal". Throws UsageError.
SliceAxis sliceAxisFromName(const std::string& name);
std::string sliceAxisName(SliceAxis axis);

/// Slices of a volume in canonical orientation: as if the volume had first been reoriented to RAS (nearest axes, no
/// resampling). Axial: slice k ascends to superior, row 0 is posterior, column 0 is the patient's left; coronal: k
/// ascends to anterior, row 0 inferior, column 0 left; sagittal: k ascends to the right, row 0 inferior, column 0
/// posterior. So the same patient gives the same slices from an RAS and from an LPS file.
struct SlicePlan {
    std::int64_t count = 0, height = 0, width = 0;
    std::int64_t origin = 0;                                        ///< voxel index of slice 0, row 0, column 0
    std::int64_t sliceStride = 0, rowStride = 0, columnStride = 0;  ///< in voxels, may be negative
    double rowSpacing = 0, columnSpacing = 0, sliceSpacing = 0;     ///< mm

    static SlicePlan of(const Geometry& geometry, SliceAxis axis = SliceAxis::Axial);

    std::int64_t voxelIndex(std::int64_t slice, std::int64_t row, std::int64_t column) const {
        return origin + slice * sliceStride + row * rowStride + column * columnStride;
    }
    /// Copies slice k out of the voxels (x fastest): height * width values, columns fastest.
    template <typename T>
    void gather(const T* voxels, std::int64_t k, T* plane) const {
        for (std::int64_t row = 0; row < height; ++row) {
            const T* source = voxels + voxelIndex(k, row, 0);
            for (std::int64_t column = 0; column < width; ++column) *plane++ = source[column * columnStride];
        }
    }
    /// The reverse of gather().
    template <typename T>
    void scatter(const T* plane, std::int64_t k, T* voxels) const {
        for (std::int64_t row = 0; row < height; ++row) {
            T* target = voxels + voxelIndex(k, row, 0);
            for (std::int64_t column = 0; column < width; ++column) target[column * columnStride] = *plane++;
        }
    }
};

}  // namespace medseg
