// Where voxels lie in the patient.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace medseg {

using Vec3 = std::array<double, 3>;
using Index3 = std::array<std::int64_t, 3>;
/// Row-major 4x4, last row 0 0 0 1.
using Affine = std::array<std::array<double, 4>, 4>;

/// Grid of a volume: size in voxels along the three array axes (x fastest) and the affine from voxel index (i, j, k) to
/// world in **RAS+ millimetres** (x grows towards the patient's right, y towards anterior, z towards
/// superior), as in NIfTI and nibabel. DICOM and ITK are LPS: their readers flip, nobody else does.
class Geometry {
  public:
    /// One voxel, identity affine.
    Geometry();
    /// Throws DataError if a size is not positive, the affine is not finite or is singular.
    Geometry(Index3 size, const Affine& affine);
    /// Axis-aligned grid (RAS) of `spacing` mm whose voxel (0,0,0) lies at `origin`.
    static Geometry axisAligned(Index3 size, Vec3 spacing, Vec3 origin = {0, 0, 0});

    const Index3& size() const { return size_; }
    std::int64_t nx() const { return size_[0]; }
    std::int64_t ny() const { return size_[1]; }
    std::int64_t nz() const { return size_[2]; }
    std::int64_t voxelCount() const { return size_[0] * size_[1] * size_[2]; }
    const Affine& affine() const { return affine_; }

    /// Distance between neighbouring voxels along each array axis, mm: the column norms of the affine.
    Vec3 spacing() const;
    /// |det| of the affine's 3x3 part, mm^3.
    double voxelVolume() const;
    /// Direction each array axis points TO, e.g. "RAS", "LPS" (nibabel's aff2axcodes; the closest one when oblique).
    std::string orientation() const;

    Vec3 voxelToWorld(const Vec3& voxel) const;
    Vec3 worldToVoxel(const Vec3& world) const;

    /// Same size, and all affine entries within `tolerance` mm.
    bool matches(const Geometry& other, double tolerance = 1e-3) const;
    /// "122x101x30 voxels of 3 x 3 x 3 mm, RAS, origin (-182.5, -150, -40)": for messages.
    std::string describe() const;

  private:
    Index3 size_;
    Affine affine_;
};

/// Throws DataError naming both files and both geometries unless they match (tolerance in mm).
void requireSameGeometry(const Geometry& a, const std::string& nameA, const Geometry& b, const std::string& nameB,
                         double tolerance = 1e-3);

/// "40x36x20".
std::string formatSize(const Index3& size);

/// Inverse of an affine map. Throws DataError if singular.
Affine inverse(const Affine& affine);
Affine multiply(const Affine& a, const Affine& b);
Affine identityAffine();

}  // namespace medseg
