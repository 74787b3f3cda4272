// How a volume is shown on paper: radiological convention, whatever the order and direction of its array axes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "medseg/volume/label_map.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// Axial: patient's right on the left, anterior up. Coronal: patient's right on the left, superior up. Sagittal:
/// anterior on the left, superior up.
enum class ViewPlane { Axial, Coronal, Sagittal };

/// "axial", "coronal", "sagittal".
const char* viewPlaneName(ViewPlane plane);
/// The reverse. Throws UsageError that lists the names.
ViewPlane viewPlaneFromName(const std::string& name);

/// Maps pictures (slice, column from the left, row from the top) to voxels. An oblique volume is shown along its array
/// axes, each taken for the closest anatomical one.
class SliceView2D {
  public:
    SliceView2D(const Geometry& geometry, ViewPlane plane);

    ViewPlane plane() const { return plane_; }
    std::int64_t slices() const { return size_[2]; }
    std::int64_t columns() const { return size_[0]; }
    std::int64_t rows() const { return size_[1]; }
    /// Size of the picture in the patient, mm.
    double widthMm() const { return static_cast<double>(size_[0]) * spacing_[0]; }
    double heightMm() const { return static_cast<double>(size_[1]) * spacing_[1]; }
    /// Array axis (0..2) that runs through the slices, along the columns of the picture, along its rows.
    int sliceAxis() const { return axis_[2]; }
    int columnAxis() const { return axis_[0]; }
    int rowAxis() const { return axis_[1]; }

    /// `slice` is the voxel index along the slice axis.
    Index3 voxelAt(std::int64_t slice, std::int64_t column, std::int64_t row) const;
    /// World coordinate of the slice's centre across the plane (axial: z, coronal: y, sagittal: x), RAS+ mm.
    double slicePosition(std::int64_t slice) const;

    /// Letters at the edges of the picture: 'R', 'L', 'A', 'P', 'S', 'I'.
    char leftLetter() const { return plane_ == ViewPlane::Sagittal ? 'A' : 'R'; }
    char rightLetter() const { return plane_ == ViewPlane::Sagittal ? 'P' : 'L'; }
    char topLetter() const { return plane_ == ViewPlane::Axial ? 'A' : 'S'; }
    char bottomLetter() const { return plane_ == ViewPlane::Axial ? 'P' : 'I'; }

  private:
    Geometry geometry_;
    ViewPlane plane_;
    /// For columns, rows and slices of the picture: array axis, whether it runs against it, length and spacing.
    std::array<int, 3> axis_{};
    std::array<bool, 3> flipped_{};
    Index3 size_{};
    Vec3 spacing_{};
};

/// A slice copied out in picture order.
template <typename T>
struct Plane2D {
    std::int64_t columns = 0;
    std::int64_t rows = 0;
    std::vector<T> values;  ///< columns fastest

    T at(std::int64_t column, std::int64_t row) const {
        return values[static_cast<std::size_t>(column + columns * row)];
    }
};

Plane2D<float> extractPlane(const Volume<float>& volume, const SliceView2D& view, std::int64_t slice);
Plane2D<int> extractPlane(const LabelMap& labels, const SliceView2D& view, std::int64_t slice);

/// The slice that shows most: every structure counts with the square root of its area, so that many structures weigh
/// more than a single large one. The middle slice when there is no label at all.
std::int64_t mostInformativeSlice(const LabelMap& labels, const SliceView2D& view);

/// `count` slices evenly spread over those with labels (over all slices without labels), ascending, no repetitions.
std::vector<std::int64_t> spreadSlices(const LabelMap* labels, const SliceView2D& view, std::int64_t count);

}  // namespace medseg
