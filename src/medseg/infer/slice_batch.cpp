#include "medseg/infer/slice_batch.h"

#include <algorithm>

#include "medseg/base/threads.h"
#include "medseg/dataset/preparation.h"
#include "medseg/nn/coordinates.h"

namespace medseg {

torch::Tensor sliceBatch(const Volume<float>& image, const Recipe& recipe, const LabelTable& labels,
                         std::int64_t firstSlice, std::int64_t count) {
    const SliceFormat format = sliceFormatFrom(recipe.prepare, labels);
    const SlicePlan plan = SlicePlan::of(image.geometry(), format.axis);
    const std::int64_t neighbours = recipe.model.neighbours, channels = 2 * neighbours + 1;
    auto batch = torch::empty({count, channels, format.height, format.width});
    float* target = batch.data_ptr<float>();
    // Each source slice is prepared once and copied to every place where it is a slice or a neighbour.
    parallelForEach(firstSlice - neighbours, firstSlice + count + neighbours, [&](std::int64_t slice) {
        std::vector<float> plane(static_cast<std::size_t>(plan.height * plan.width));
        plan.gather(image.data(), std::clamp<std::int64_t>(slice, 0, plan.count - 1), plane.data());
        std::vector<float> prepared(static_cast<std::size_t>(format.pixelCount()));
        prepareImagePlane(format, plan, plane, prepared.data());
        for (std::int64_t channel = 0; channel < channels; ++channel) {
            const std::int64_t place = slice - firstSlice - channel + neighbours;
            if (place >= 0 && place < count)
                std::copy(prepared.begin(), prepared.end(),
                          target + (place * channels + channel) * format.pixelCount());
        }
    });
    std::vector<float> positions;
    for (std::int64_t i = 0; i < count; ++i) positions.push_back(slicePosition(firstSlice + i, plan.count));
    return appendCoordinates(batch, recipe.model.coordinates, positions).permute({0, 2, 3, 1}).contiguous();
}

}  // namespace medseg
