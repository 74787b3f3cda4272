#include "medseg/dataset/slice_plan.h"

#include <array>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr std::array<const char*, 3> kAxisNames{"axial", "coronal", "sagittal"};

/// How one world axis runs through the array.
struct Run {
    std::int64_t length = 0, start = 0, stride = 0;
    double spacing = 0;
};

std::array<Run, 3> canonicalRuns(const Geometry& geometry) {
    const std::string orientation = geometry.orientation();
    const std::array<std::int64_t, 3> strides{1, geometry.nx(), geometry.nx() * geometry.ny()};
    std::array<Run, 3> runs;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const char code = orientation[axis];
        const std::size_t world = code == 'R' || code == 'L' ? 0 : code == 'A' || code == 'P' ? 1 : 2;
        const bool ascending = code == "RAS"[world];
        const std::int64_t length = geometry.size()[axis];
        runs[world] = {length, ascending ? 0 : (length - 1) * strides[axis], ascending ? strides[axis] : -strides[axis],
                       geometry.spacing()[axis]};
    }
    return runs;
}

}  // namespace

SliceAxis sliceAxisFromName(const std::string& name) {
    for (std::size_t i = 0; i < kAxisNames.size(); ++i)
        if (name == kAxisNames[i]) return static_cast<SliceAxis>(i);
    throw UsageError(fmt::format("unknown slice axis \"{}\": give axial, coronal or sagittal", name));
}

std::string sliceAxisName(SliceAxis axis) {
    return kAxisNames[static_cast<std::size_t>(axis)];
}

SlicePlan SlicePlan::of(const Geometry& geometry, SliceAxis axis) {
    const auto runs = canonicalRuns(geometry);
    const Run& across = runs[axis == SliceAxis::Axial ? 2 : axis == SliceAxis::Coronal ? 1 : 0];
    const Run& down = runs[axis == SliceAxis::Axial ? 1 : 2];
    const Run& along = runs[axis == SliceAxis::Sagittal ? 1 : 0];
    return {.count = across.length,
            .height = down.length,
            .width = along.length,
            .origin = runs[0].start + runs[1].start + runs[2].start,
            .sliceStride = across.stride,
            .rowStride = down.stride,
            .columnStride = along.stride,
            .rowSpacing = down.spacing,
            .columnSpacing = along.spacing,
            .sliceSpacing = across.spacing};
}

}  // namespace medseg
