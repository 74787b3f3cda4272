#include "medseg/imaging/crop.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

VoxelBox VoxelBox::grown(const Index3& margin, const Index3& size) const {
    VoxelBox result;
    for (int axis = 0; axis < 3; ++axis) {
        result.low[axis] = std::max<std::int64_t>(0, low[axis] - margin[axis]);
        result.high[axis] = std::min<std::int64_t>(size[axis], high[axis] + margin[axis]);
    }
    return result;
}

VoxelBox boxAbove(const Volume<float>& volume, float threshold) {
    VoxelBox box{volume.size(), {0, 0, 0}};
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y) {
            const float* row = volume.data() + volume.index(0, y, z);
            const auto above = [&](float value) { return value > threshold; };
            const float* first = std::find_if(row, row + volume.nx(), above);
            if (first == row + volume.nx()) continue;
            std::int64_t last = volume.nx() - 1;
            while (!above(row[last])) --last;
            const Index3 low{first - row, y, z}, high{last + 1, y + 1, z + 1};
            for (int axis = 0; axis < 3; ++axis) {
                box.low[axis] = std::min(box.low[axis], low[axis]);
                box.high[axis] = std::max(box.high[axis], high[axis]);
            }
        }
    return box;
}

Volume<float> crop(const Volume<float>& volume, const VoxelBox& box) {
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
    Volume<float> result(Geometry(size, affine));
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y)
            std::copy_n(volume.data() + volume.index(box.low[0], box.low[1] + y, box.low[2] + z), size[0],
                        result.data() + result.index(0, y, z));
    return result;
}

}  // namespace medseg
