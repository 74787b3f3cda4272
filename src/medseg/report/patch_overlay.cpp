#include "medseg/report/patch_overlay.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/dataset/patch_augmentation.h"

namespace medseg {
namespace {

LabelMap labelsOf(const Geometry& geometry, std::span<const std::uint16_t> ids, const LabelTable& table) {
    Volume<std::uint16_t> voxels(geometry);
    std::copy(ids.begin(), ids.end(), voxels.data());
    return {std::move(voxels), table};
}

PatchPlane planeOf(const PatchSample& sample, std::int64_t z) {
    const auto pixels = static_cast<std::size_t>(sample.size[0] * sample.size[1]);
    const std::size_t first = static_cast<std::size_t>(z) * pixels;
    return {std::span(sample.image).subspan(first, pixels), std::span(sample.labels).subspan(first, pixels), {}};
}

/// One of the case's patches that is centred on a structure.
PatchPlace placeIn(const VolumeCache& cache, std::int64_t volume, const Index3& size, std::uint64_t seed) {
    return drawPatches(cache, {volume}, {size, 1, 1, seed}, 0).front();
}

}  // namespace

OverlayRow renderPatchPlane(const VolumeCache& cache, const PatchPlace& place, const Index3& size, std::int64_t z,
                            const PatchPlane& pixels, double panelSize) {
    const CachedVolume& item = cache.caseAt(place.volume);
    const Geometry geometry = Geometry::axisAligned({size[0], size[1], 1}, item.grid.spacing());
    const auto count = static_cast<std::size_t>(geometry.voxelCount());
    if (pixels.image.size() != count || pixels.reference.size() != count ||
        (!pixels.prediction.empty() && pixels.prediction.size() != count))
        throw DataError(fmt::format("a plane of {} pixels, not {}", pixels.image.size(), count));
    const auto& window = cache.format().window;
    Volume<float> image(geometry);
    std::transform(pixels.image.begin(), pixels.image.end(), image.data(), [&](float value) {
        return static_cast<float>(window[0] + (window[1] - window[0]) * static_cast<double>(value));
    });
    const LabelMap reference = labelsOf(geometry, pixels.reference, cache.labels());
    LabelMap prediction;
    OverlayCase overlay;
    overlay.name = item.id;
    overlay.image = &image;
    overlay.reference = &reference;
    if (!pixels.prediction.empty()) {
        prediction = labelsOf(geometry, pixels.prediction, cache.labels());
        overlay.prediction = &prediction;
    }
    OverlayOptions options;
    options.slice = 0;
    options.window = Window::fromRange(window[0], window[1]);
    options.panelSize = panelSize;
    OverlayRow row = renderOverlayRow(overlay, options);
    row.detail = fmt::format("patch of {} voxels from ({}, {}, {}), plane {}", formatSize(size), place.start[0],
                             place.start[1], place.start[2], z);
    return row;
}

std::int64_t richestPlane(const PatchSample& sample) {
    std::int64_t best = sample.size[2] / 2, most = 0;
    for (std::int64_t z = 0; z < sample.size[2]; ++z) {
        const PatchPlane plane = planeOf(sample, z);
        const auto labelled =
            std::ssize(plane.reference) - std::count(plane.reference.begin(), plane.reference.end(), std::uint16_t{0});
        if (labelled > most) most = labelled, best = z;
    }
    return best;
}

Canvas renderPatchAugmentations(const VolumeCache& cache, const Index3& size, AugmentationSettings settings,
                                std::uint64_t seed, int rows, int changes) {
    if (cache.caseCount() == 0) throw UsageError("the cache holds no volumes to show");
    settings.enabled = true;
    constexpr double kPanelSize = 200;
    const std::int64_t count = std::min<std::int64_t>(rows, cache.caseCount());
    std::vector<OverlayRow> sheet;
    std::uint64_t stream = 0;
    for (std::int64_t number = 0; number < count; ++number) {
        const PatchPlace place = placeIn(cache, number * cache.caseCount() / count, size, seed);
        OverlayRow row;
        for (int change = 0; change <= changes; ++change) {
            PatchSample sample;
            Random random(seed, 0xa07'0000ULL + stream++);
            if (change > 0)
                readTrainingPatch(cache, place, size, settings, random, sample);
            else
                readPatch(cache, place, size, sample);
            const std::int64_t z = richestPlane(sample);
            OverlayRow one = renderPatchPlane(cache, place, size, z, planeOf(sample, z), kPanelSize);
            OverlayPanel panel = std::move(one.panels.back());
            panel.caption = change == 0 ? "As cached" : fmt::format("Change {}", change);
            if (change == 0) {
                row = std::move(one);
                row.panels.clear();
            }
            row.panels.push_back(std::move(panel));
        }
        sheet.push_back(std::move(row));
    }
    return composeOverlays(sheet, "Training patches as augmentation changes them");
}

}  // namespace medseg
