// A 3D array with its place in the world.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <variant>

#include "medseg/volume/geometry.h"
#include "medseg/volume/voxel_memory.h"

namespace medseg {

/// A slice: `width` x `height` values, x fastest, `rowStride` values from row to row. A view, never a copy.
template <typename T>
struct SliceView {
    T* data = nullptr;
    std::int64_t width = 0;
    std::int64_t height = 0;
    std::int64_t rowStride = 0;

    T& operator()(std::int64_t x, std::int64_t y) const { return data[x + rowStride * y]; }
    T* row(std::int64_t y) const { return data + rowStride * y; }
};

/// Contiguous voxels, x fastest: index = x + nx*(y + ny*z). The byte order of NIfTI data and of a C-order numpy array
/// of shape (z, y, x). Move-only; copy with clone().
template <typename T>
class Volume {
  public:
    Volume() = default;
    /// Voxels are left uninitialised.
    explicit Volume(const Geometry& geometry)
        : geometry_(geometry), voxels_(allocateVoxels<T>(geometry.voxelCount(), false)) {}
    /// Zeros cost nothing until they are touched.
    Volume(const Geometry& geometry, T fill)
        : geometry_(geometry), voxels_(allocateVoxels<T>(geometry.voxelCount(), fill == T{})) {
        if (fill != T{}) std::fill_n(data(), voxelCount(), fill);
    }

    const Geometry& geometry() const { return geometry_; }
    /// Replaces the affine; the size must stay the same.
    void setAffine(const Affine& affine) { geometry_ = Geometry(geometry_.size(), affine); }
    const Index3& size() const { return geometry_.size(); }
    std::int64_t nx() const { return geometry_.nx(); }
    std::int64_t ny() const { return geometry_.ny(); }
    std::int64_t nz() const { return geometry_.nz(); }
    std::int64_t voxelCount() const { return voxels_ ? geometry_.voxelCount() : 0; }
    bool empty() const { return !voxels_; }

    T* data() { return voxels_.get(); }
    const T* data() const { return voxels_.get(); }
    std::span<T> voxels() { return {data(), static_cast<std::size_t>(voxelCount())}; }
    std::span<const T> voxels() const { return {data(), static_cast<std::size_t>(voxelCount())}; }

    std::int64_t index(std::int64_t x, std::int64_t y, std::int64_t z) const { return x + nx() * (y + ny() * z); }
    T& operator()(std::int64_t x, std::int64_t y, std::int64_t z) { return voxels_[index(x, y, z)]; }
    const T& operator()(std::int64_t x, std::int64_t y, std::int64_t z) const { return voxels_[index(x, y, z)]; }

    /// Slice across the third array axis (axial in RAS-like data).
    SliceView<T> slice(std::int64_t z) { return {data() + index(0, 0, z), nx(), ny(), nx()}; }
    SliceView<const T> slice(std::int64_t z) const { return {data() + index(0, 0, z), nx(), ny(), nx()}; }

    Volume clone() const {
        Volume copy(geometry_);
        std::copy_n(data(), voxelCount(), copy.data());
        return copy;
    }

  private:
    Geometry geometry_;
    VoxelPointer<T> voxels_;
};

/// A volume in the type its file stores.
using AnyVolume = std::variant<Volume<std::uint8_t>, Volume<std::int8_t>, Volume<std::uint16_t>, Volume<std::int16_t>,
                               Volume<std::uint32_t>, Volume<std::int32_t>, Volume<std::uint64_t>, Volume<std::int64_t>,
                               Volume<float>, Volume<double>>;

inline const Geometry& geometryOf(const AnyVolume& volume) {
    return std::visit([](const auto& v) -> const Geometry& { return v.geometry(); }, volume);
}

}  // namespace medseg
