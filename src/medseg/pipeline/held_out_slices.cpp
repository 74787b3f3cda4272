#include "medseg/pipeline/held_out_slices.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

LabelMap stackSlices(const LabelMap& labels, const std::vector<std::int64_t>& slices, SliceAxis axis) {
    const SlicePlan plan = SlicePlan::of(labels.geometry(), axis);
    for (const std::int64_t slice : slices)
        if (slice < 0 || slice >= plan.count)
            throw DataError(fmt::format("slice {} lies outside a volume of {} slices", slice, plan.count));
    if (slices.empty()) throw DataError("no slice to measure on");
    const double step = slices.size() > 1 ? static_cast<double>(slices[1] - slices[0]) : 1.0;
    const Geometry geometry = Geometry::axisAligned({plan.width, plan.height, static_cast<std::int64_t>(slices.size())},
                                                    {plan.columnSpacing, plan.rowSpacing, plan.sliceSpacing * step});
    return labels.visit([&](const auto& voxels) {
        using Voxels = std::remove_cvref_t<decltype(voxels)>;
        Voxels stack(geometry);
        for (std::size_t i = 0; i < slices.size(); ++i)
            plan.gather(voxels.data(), slices[i], stack.slice(static_cast<std::int64_t>(i)).data);
        return LabelMap(std::move(stack), labels.table());
    });
}

}  // namespace medseg
