#include "medseg/dataset/slice_sample.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/dataset/slice_plan.h"

namespace medseg {

std::vector<std::int64_t> withNeighbours(const SliceCache& cache, std::int64_t slice, int neighbours) {
    const std::int64_t index = cache.caseOf(slice), first = cache.firstSliceOf(index);
    const std::int64_t last = first + cache.caseAt(index).sliceCount() - 1;
    std::vector<std::int64_t> slices;
    for (std::int64_t offset = -neighbours; offset <= neighbours; ++offset)
        slices.push_back(std::clamp(slice + offset, first, last));
    return slices;
}

void requireAllSlices(const SliceCache& cache) {
    for (std::int64_t i = 0; i < cache.caseCount(); ++i) {
        const CachedCase& record = cache.caseAt(i);
        const std::int64_t count = SlicePlan::of(record.geometry, cache.format().axis).count;
        if (record.sliceCount() != count)
            throw UsageError(fmt::format(
                "model.neighbours needs every slice, but the cache holds {} of the {} slices of {}: prepare with "
                "prepare.slices=all prepare.every_slice=1 (data.hold_out_every is fine)",
                record.sliceCount(), count, record.id));
    }
}

void loadSample(const SliceCache& cache, std::int64_t slice, int neighbours, SliceSample& sample) {
    const SliceFormat& format = cache.format();
    const auto pixels = static_cast<std::size_t>(format.pixelCount());
    const std::vector<std::int64_t> channels = withNeighbours(cache, slice, neighbours);
    sample.height = format.height;
    sample.width = format.width;
    sample.layers = cache.layerCount();
    sample.channels = static_cast<int>(channels.size());
    sample.image.resize(pixels * channels.size());
    for (std::size_t c = 0; c < channels.size(); ++c) cache.copyImage(channels[c], sample.image.data() + c * pixels);
    sample.labels.assign(pixels * static_cast<std::size_t>(sample.layers), 0);
    for (int layer = 0; layer < sample.layers; ++layer) {
        const auto bytes = cache.labelBytes(slice, layer);
        std::uint16_t* target = sample.labels.data() + static_cast<std::size_t>(layer) * pixels;
        if (format.labelBytes() == 1)
            std::copy(bytes.begin(), bytes.end(), target);
        else if (!bytes.empty())
            std::memcpy(target, bytes.data(), bytes.size());
    }
}

}  // namespace medseg
