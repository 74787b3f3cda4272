#include "medseg/report/slice_view.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

/// For a picture's columns, rows and slices: the two letters an array axis may point to; the first one needs no flip.
using AxisLetters = std::array<std::string_view, 3>;

AxisLetters lettersOf(ViewPlane plane) {
    switch (plane) {
        case ViewPlane::Axial:
            return {"LR", "PA", "SI"};
        case ViewPlane::Coronal:
            return {"LR", "IS", "AP"};
        case ViewPlane::Sagittal:
            return {"PA", "IS", "RL"};
    }
    return {};
}

/// Voxels of each present label in each slice: areas[slice * labels + compact index].
struct LabelAreas {
    std::size_t labels = 0;
    std::vector<std::int64_t> areas;
};

LabelAreas measureAreas(const LabelMap& map, const SliceView2D& view) {
    const std::vector<std::int64_t> counts = map.countVoxels();
    std::vector<std::size_t> compact(counts.size(), 0);
    LabelAreas result;
    for (std::size_t id = 1; id < counts.size(); ++id)
        if (counts[id] > 0) compact[id] = ++result.labels;
    result.areas.assign(result.labels * static_cast<std::size_t>(view.slices()), 0);
    if (result.labels == 0) return result;
    map.visit([&](const auto& volume) {
        const auto* voxel = volume.data();
        Index3 index{};
        for (index[2] = 0; index[2] < volume.nz(); ++index[2])
            for (index[1] = 0; index[1] < volume.ny(); ++index[1])
                for (index[0] = 0; index[0] < volume.nx(); ++index[0]) {
                    const auto id = *voxel++;
                    if (id == 0) continue;
                    const auto slice = static_cast<std::size_t>(index[static_cast<std::size_t>(view.sliceAxis())]);
                    ++result.areas[slice * result.labels + compact[id] - 1];
                }
    });
    return result;
}

}  // namespace

const char* viewPlaneName(ViewPlane plane) {
    return plane == ViewPlane::Axial ? "axial" : plane == ViewPlane::Coronal ? "coronal" : "sagittal";
}

ViewPlane viewPlaneFromName(const std::string& name) {
    for (const ViewPlane plane : {ViewPlane::Axial, ViewPlane::Coronal, ViewPlane::Sagittal})
        if (name == viewPlaneName(plane)) return plane;
    throw UsageError(fmt::format("view \"{}\" is not known: choose axial, coronal or sagittal", name));
}

SliceView2D::SliceView2D(const Geometry& geometry, ViewPlane plane) : geometry_(geometry), plane_(plane) {
    const std::string orientation = geometry.orientation();
    const Vec3 spacing = geometry.spacing();
    const AxisLetters letters = lettersOf(plane);
    for (std::size_t k = 0; k < 3; ++k)
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const std::size_t place = letters[k].find(orientation[axis]);
            if (place == std::string_view::npos) continue;
            axis_[k] = static_cast<int>(axis);
            flipped_[k] = place == 1 && k < 2;  // slices keep their voxel index
            size_[k] = geometry.size()[axis];
            spacing_[k] = spacing[axis];
        }
}

Index3 SliceView2D::voxelAt(std::int64_t slice, std::int64_t column, std::int64_t row) const {
    Index3 voxel{};
    voxel[static_cast<std::size_t>(axis_[0])] = flipped_[0] ? size_[0] - 1 - column : column;
    voxel[static_cast<std::size_t>(axis_[1])] = flipped_[1] ? size_[1] - 1 - row : row;
    voxel[static_cast<std::size_t>(axis_[2])] = slice;
    return voxel;
}

double SliceView2D::slicePosition(std::int64_t slice) const {
    Vec3 center{};
    for (std::size_t axis = 0; axis < 3; ++axis) center[axis] = static_cast<double>(geometry_.size()[axis] - 1) / 2;
    center[static_cast<std::size_t>(axis_[2])] = static_cast<double>(slice);
    return geometry_.voxelToWorld(center)[plane_ == ViewPlane::Axial ? 2 : plane_ == ViewPlane::Coronal ? 1 : 0];
}

namespace {

template <typename Out, typename T>
Plane2D<Out> extract(const Volume<T>& volume, const SliceView2D& view, std::int64_t slice) {
    Plane2D<Out> plane{view.columns(), view.rows(), {}};
    plane.values.reserve(static_cast<std::size_t>(plane.columns * plane.rows));
    for (std::int64_t row = 0; row < plane.rows; ++row)
        for (std::int64_t column = 0; column < plane.columns; ++column) {
            const Index3 voxel = view.voxelAt(slice, column, row);
            plane.values.push_back(static_cast<Out>(volume(voxel[0], voxel[1], voxel[2])));
        }
    return plane;
}

}  // namespace

Plane2D<float> extractPlane(const Volume<float>& volume, const SliceView2D& view, std::int64_t slice) {
    return extract<float>(volume, view, slice);
}

Plane2D<int> extractPlane(const LabelMap& labels, const SliceView2D& view, std::int64_t slice) {
    return labels.visit([&](const auto& volume) { return extract<int>(volume, view, slice); });
}

std::int64_t mostInformativeSlice(const LabelMap& map, const SliceView2D& view) {
    const LabelAreas areas = measureAreas(map, view);
    if (areas.labels == 0) return view.slices() / 2;
    std::size_t best = 0;
    double bestScore = -1;
    for (std::size_t slice = 0; slice < static_cast<std::size_t>(view.slices()); ++slice) {
        double score = 0;
        for (std::size_t label = 0; label < areas.labels; ++label)
            score += std::sqrt(static_cast<double>(areas.areas[slice * areas.labels + label]));
        if (score <= bestScore) continue;
        bestScore = score;
        best = slice;
    }
    return static_cast<std::int64_t>(best);
}

std::vector<std::int64_t> spreadSlices(const LabelMap* labels, const SliceView2D& view, std::int64_t count) {
    std::int64_t first = 0, last = view.slices() - 1;
    if (labels != nullptr) {
        const LabelAreas areas = measureAreas(*labels, view);
        const auto labelled = [&](std::int64_t slice) {
            const auto begin = areas.areas.begin() + slice * static_cast<std::int64_t>(areas.labels);
            return std::any_of(begin, begin + static_cast<std::int64_t>(areas.labels),
                               [](std::int64_t area) { return area > 0; });
        };
        if (areas.labels > 0) {
            while (!labelled(first)) ++first;
            while (!labelled(last)) --last;
        }
    }
    std::vector<std::int64_t> slices;
    count = std::clamp<std::int64_t>(count, 1, last - first + 1);
    // The middle of `count` equal parts: the outermost slices, which show little, are left out.
    for (std::int64_t i = 0; i < count; ++i) slices.push_back(first + (2 * i + 1) * (last - first + 1) / (2 * count));
    return slices;
}

}  // namespace medseg
