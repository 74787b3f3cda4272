// The quaternion form ("qform") of a NIfTI affine: rotation, voxel sizes and an optional flip of the third axis.
#pragma once

#include <optional>

#include "medseg/volume/geometry.h"

namespace medseg {

/// Unit quaternion (a, b, c, d) with a >= 0, stored without a, as nifti1.h defines it.
struct Quaternion {
    double b = 0, c = 0, d = 0;
    bool flipsThirdAxis = false;  ///< qfac = -1
};

/// Rotation times voxel sizes (mm); no translation. Where rounding made b, c, d longer than 1, a counts as 0.
/// Throws DataError when they are too long for rounding.
Affine affineFromQuaternion(const Quaternion& quaternion, const Vec3& spacing);

/// Empty when the axes of the affine are not at right angles (within 1e-5), which a quaternion cannot express.
std::optional<Quaternion> quaternionFromAffine(const Affine& affine);

}  // namespace medseg
