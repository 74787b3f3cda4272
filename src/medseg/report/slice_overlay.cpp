#include "medseg/report/slice_overlay.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/dataset/slice_sample.h"

namespace medseg {
namespace {

ViewPlane planeOf(SliceAxis axis) {
    return axis == SliceAxis::Axial     ? ViewPlane::Axial
           : axis == SliceAxis::Coronal ? ViewPlane::Coronal
                                        : ViewPlane::Sagittal;
}

/// A volume of one slice in RAS whose voxels are in the order of the cache's pixels.
Geometry sliceGeometry(const SliceCache& cache, std::int64_t slice) {
    const SliceFormat& format = cache.format();
    const SlicePlan plan = SlicePlan::of(cache.caseAt(cache.caseOf(slice)).geometry, format.axis);
    const double column = plan.columnSpacing * static_cast<double>(plan.width) / static_cast<double>(format.width);
    const double row = plan.rowSpacing * static_cast<double>(plan.height) / static_cast<double>(format.height);
    const std::int64_t w = format.width, h = format.height;
    switch (format.axis) {
        case SliceAxis::Axial:
            return Geometry::axisAligned({w, h, 1}, {column, row, plan.sliceSpacing});
        case SliceAxis::Coronal:
            return Geometry::axisAligned({w, 1, h}, {column, plan.sliceSpacing, row});
        case SliceAxis::Sagittal:
            break;
    }
    return Geometry::axisAligned({1, w, h}, {plan.sliceSpacing, column, row});
}

LabelMap labelsOf(const Geometry& geometry, std::span<const std::uint16_t> ids, const LabelTable& table) {
    Volume<std::uint16_t> voxels(geometry);
    std::copy(ids.begin(), ids.end(), voxels.data());
    return {std::move(voxels), table};
}

}  // namespace

OverlayRow renderSlice(const SliceCache& cache, std::int64_t slice, const SlicePixels& pixels, double panelSize) {
    const SliceFormat& format = cache.format();
    const auto count = static_cast<std::size_t>(format.pixelCount());
    for (const std::size_t size : {pixels.image.size(), pixels.reference.empty() ? count : pixels.reference.size(),
                                   pixels.prediction.empty() ? count : pixels.prediction.size()})
        if (size != count) throw DataError(fmt::format("a slice of {} pixels, not {}", size, count));
    const CachedCase& item = cache.caseAt(cache.caseOf(slice));
    const Geometry geometry = sliceGeometry(cache, slice);
    Volume<float> image(geometry);
    const double low = format.window[0], width = format.window[1] - low;
    for (std::size_t i = 0; i < count; ++i) image.data()[i] = static_cast<float>(low + width * pixels.image[i]);
    LabelMap reference, prediction;
    OverlayCase overlay;
    overlay.name = item.id;
    overlay.image = &image;
    if (!pixels.reference.empty()) {
        reference = labelsOf(geometry, pixels.reference, format.labels);
        overlay.reference = &reference;
    }
    if (!pixels.prediction.empty()) {
        prediction = labelsOf(geometry, pixels.prediction, format.labels);
        overlay.prediction = &prediction;
    }
    OverlayOptions options;
    options.plane = planeOf(format.axis);
    options.slice = 0;
    options.window = Window::fromRange(format.window[0], format.window[1]);
    options.panelSize = panelSize;
    OverlayRow row = renderOverlayRow(overlay, options);
    row.detail =
        fmt::format("{} slice {}, {} x {} pixels, window {:g} to {:g}", sliceAxisName(format.axis),
                    cache.sourceSliceOf(slice), format.width, format.height, format.window[0], format.window[1]);
    return row;
}

std::vector<std::int64_t> richSlices(const SliceCache& cache, std::span<const std::int64_t> candidates, int count) {
    std::vector<std::int64_t> chosen;
    const auto total = static_cast<std::int64_t>(candidates.size()), parts = std::min<std::int64_t>(count, total);
    for (std::int64_t part = 0; part < parts; ++part) {
        std::int64_t best = 0;
        std::ptrdiff_t most = -1;
        for (std::int64_t i = part * total / parts; i < (part + 1) * total / parts; ++i) {
            const std::int64_t slice = candidates[static_cast<std::size_t>(i)];
            const auto counts = cache.labelCounts(slice);
            const auto present =
                std::count_if(counts.begin() + 1, counts.end(), [](std::uint32_t pixels) { return pixels > 0; });
            if (present > most) most = present, best = slice;
        }
        chosen.push_back(best);
    }
    return chosen;
}

Canvas renderAugmentations(const SliceCache& cache, AugmentationSettings settings, std::uint64_t seed, int rows,
                           int changes) {
    if (cache.sliceCount() == 0) throw UsageError("the cache holds no slices to show");
    settings.enabled = true;
    constexpr double kPanelSize = 200;
    const auto pixels = static_cast<std::size_t>(cache.format().pixelCount());
    std::vector<OverlayRow> sheet;
    std::uint64_t stream = 0;
    std::vector<std::int64_t> all(static_cast<std::size_t>(cache.sliceCount()));
    std::iota(all.begin(), all.end(), std::int64_t{0});
    for (const std::int64_t slice : richSlices(cache, all, rows)) {
        SliceSample original;
        loadSample(cache, slice, 0, original);
        OverlayRow row;
        for (int change = 0; change <= changes; ++change) {
            SliceSample sample = original;
            Random random(seed, 0xa06'0000ULL + stream++);
            if (change > 0) augment(sample, settings, random);
            OverlayRow one = renderSlice(
                cache, slice, {std::span(sample.image).first(pixels), std::span(sample.labels).first(pixels), {}},
                kPanelSize);
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
    return composeOverlays(sheet, "Training slices as augmentation changes them");
}

}  // namespace medseg
