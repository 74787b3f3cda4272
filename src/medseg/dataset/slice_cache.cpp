#include "medseg/dataset/slice_cache.h"

#include <algorithm>

#include "medseg/dataset/cached_array.h"
#include "medseg/dataset/slice_manifest.h"
#include "medseg/io/half_float.h"

namespace medseg {
SliceCache::SliceCache(const fs::path& directory) : paths_{directory} {
    SliceManifest manifest = readSliceManifest(paths_);
    format_ = std::move(manifest.format);
    for (const CachedCase& record : manifest.cases) openCase(record);
}

void SliceCache::openCase(const CachedCase& record) {
    const std::int64_t slices = record.sliceCount();
    const auto labels = static_cast<std::int64_t>(format_.labels.size());
    OpenCase open{.record = record,
                  .image = MappedFile(paths_.image(record.id)),
                  .labels = MappedFile(paths_.labels(record.id)),
                  .counts = MappedFile(paths_.counts(record.id))};
    open.imageOffset =
        cachedArrayOffset(open.image, NpyType::F16, {slices, format_.height, format_.width}, "cache.json");
    open.labelOffset = cachedArrayOffset(open.labels, format_.labelBytes() == 1 ? NpyType::U8 : NpyType::U16,
                                         {open.record.layers, slices, format_.height, format_.width}, "cache.json");
    open.countOffset = cachedArrayOffset(open.counts, NpyType::U32, {slices, labels + 1}, "cache.json");
    layerCount_ = std::max(layerCount_, open.record.layers);
    firstSlice_.push_back(firstSlice_.back() + slices);
    cases_.push_back(std::move(open));
}

std::int64_t SliceCache::findCase(const std::string& id) const {
    const auto found =
        std::find_if(cases_.begin(), cases_.end(), [&](const OpenCase& open) { return open.record.id == id; });
    return found == cases_.end() ? -1 : found - cases_.begin();
}

std::int64_t SliceCache::caseOf(std::int64_t slice) const {
    return std::upper_bound(firstSlice_.begin(), firstSlice_.end(), slice) - firstSlice_.begin() - 1;
}

SliceCache::Place SliceCache::locate(std::int64_t slice) const {
    const std::int64_t index = caseOf(slice);
    return {&cases_[static_cast<std::size_t>(index)], slice - firstSliceOf(index)};
}

std::int64_t SliceCache::sourceSliceOf(std::int64_t slice) const {
    const Place place = locate(slice);
    return place.open->record.sourceSlices[static_cast<std::size_t>(place.slice)];
}

std::span<const std::uint16_t> SliceCache::imageHalf(std::int64_t slice) const {
    const Place place = locate(slice);
    const auto* first =
        reinterpret_cast<const std::uint16_t*>(place.open->image.bytes().data() + place.open->imageOffset);
    return {first + place.slice * format_.pixelCount(), static_cast<std::size_t>(format_.pixelCount())};
}

void SliceCache::copyImage(std::int64_t slice, float* out) const {
    const auto half = imageHalf(slice);
    std::transform(half.begin(), half.end(), out, halfToFloat);
}

std::span<const std::uint8_t> SliceCache::labelBytes(std::int64_t slice, int layer) const {
    const Place place = locate(slice);
    const CachedCase& record = place.open->record;
    if (layer >= record.layers) return {};
    const std::int64_t bytes = format_.pixelCount() * format_.labelBytes();
    const std::uint8_t* first = place.open->labels.bytes().data() + place.open->labelOffset;
    return {first + (layer * record.sliceCount() + place.slice) * bytes, static_cast<std::size_t>(bytes)};
}

std::span<const std::uint32_t> SliceCache::labelCounts(std::int64_t slice) const {
    const Place place = locate(slice);
    const std::size_t length = format_.labels.size() + 1;
    const auto* first =
        reinterpret_cast<const std::uint32_t*>(place.open->counts.bytes().data() + place.open->countOffset);
    return {first + static_cast<std::size_t>(place.slice) * length, length};
}

}  // namespace medseg
