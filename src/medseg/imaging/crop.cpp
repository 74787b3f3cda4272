#include "medseg/imaging/crop.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/imaging/runs.h"

namespace medseg {

VoxelBox VoxelBox::grown(const Index3& margin, const Index3& size) const {
    VoxelBox result;
    for (int axis = 0; axis < 3; ++axis) {
        result.low[axis] = std::max<std::int64_t>(0, low[axis] - margin[axis]);
        result.high[axis] = std::min<std::int64_t>(size[axis], high[axis] + margin[axis]);
    }
    return result;
}

namespace {

/// Around the voxels that `ends` reports: of a row, the first and one past the last that belong, or first = last.
template <typename T, typename Ends>
VoxelBox boxOfRows(const Volume<T>& volume, Ends ends) {
    VoxelBox box{volume.size(), {0, 0, 0}};
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y) {
            const auto [first, last] = ends(volume.data() + volume.index(0, y, z), volume.nx());
            if (first == last) continue;
            const Index3 low{first, y, z}, high{last, y + 1, z + 1};
            for (int axis = 0; axis < 3; ++axis) {
                box.low[axis] = std::min(box.low[axis], low[axis]);
                box.high[axis] = std::max(box.high[axis], high[axis]);
            }
        }
    return box;
}

}  // namespace

VoxelBox boxAbove(const Volume<float>& volume, float threshold) {
    return boxOfRows(volume, [threshold](const float* row, std::int64_t n) {
        const auto above = [threshold](float value) { return value > threshold; };
        const std::int64_t first = std::find_if(row, row + n, above) - row;
        std::int64_t last = n;
        while (last > first && !above(row[last - 1])) --last;
        return std::pair{first, last};
    });
}

template <typename T>
VoxelBox boxOfMask(const Volume<T>& mask) {
    return boxOfRows(mask, [](const T* row, std::int64_t n) {
        std::pair<std::int64_t, std::int64_t> ends{n, n};
        runs::forRow<RunKind::NonZero>(row, n, [&](std::int64_t x0, std::int64_t x1, T) {
            ends = {std::min(ends.first, x0), x1};
        });
        return ends;
    });
}

template <typename T>
Volume<T> crop(const Volume<T>& volume, const VoxelBox& box) {
    bool inside = !box.empty();
    for (int axis = 0; axis < 3; ++axis) inside = inside && box.low[axis] >= 0 && box.high[axis] <= volume.size()[axis];
    if (!inside)
        throw UsageError(fmt::format("box {},{},{} to {},{},{} does not lie in the volume of {} x {} x {} voxels",
                                     box.low[0], box.low[1], box.low[2], box.high[0], box.high[1], box.high[2],
                                     volume.nx(), volume.ny(), volume.nz()));
    const Geometry& whole = volume.geometry();
    Affine affine = whole.affine();
    const Vec3 origin = whole.voxelToWorld(
        {static_cast<double>(box.low[0]), static_cast<double>(box.low[1]), static_cast<double>(box.low[2])});
    for (int axis = 0; axis < 3; ++axis) affine[axis][3] = origin[axis];
    const Index3 size{box.high[0] - box.low[0], box.high[1] - box.low[1], box.high[2] - box.low[2]};
    Volume<T> result(Geometry(size, affine));
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y)
            std::copy_n(volume.data() + volume.index(box.low[0], box.low[1] + y, box.low[2] + z), size[0],
                        result.data() + result.index(0, y, z));
    return result;
}

#define MEDSEG_INSTANTIATE(T)                         \
    template VoxelBox boxOfMask<T>(const Volume<T>&); \
    template Volume<T> crop<T>(const Volume<T>&, const VoxelBox&);
MEDSEG_INSTANTIATE(std::uint8_t)
MEDSEG_INSTANTIATE(std::uint16_t)
MEDSEG_INSTANTIATE(std::int16_t)
MEDSEG_INSTANTIATE(std::uint32_t)
MEDSEG_INSTANTIATE(std::int32_t)
#undef MEDSEG_INSTANTIATE
template Volume<float> crop<float>(const Volume<float>&, const VoxelBox&);

}  // namespace medseg
