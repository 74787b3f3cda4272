#include "medseg/report/contact_sheet.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "medseg/base/threads.h"
#include "medseg/dataset/case_preview.h"
#include "medseg/report/overlay_sheet.h"
#include "medseg/report/panel.h"

namespace medseg {
namespace {

constexpr double kTileSide = 118;  // points, the longer side
constexpr double kGap = 4;
constexpr double kRowGap = 14;
constexpr double kCaption = 14;
constexpr double kTitle = 22;
constexpr double kOpacity = 0.45;
constexpr double kScale = 1.5;  // pixels a point: previews have no more to show

struct Tile {
    Plane2D<float> gray;
    Plane2D<int> labels;
};

Tile tileOf(const CasePreview& preview, std::int64_t index) {
    const std::size_t pixels = static_cast<std::size_t>(preview.width * preview.height);
    const std::size_t first = static_cast<std::size_t>(index) * pixels;
    Tile tile;
    tile.gray.columns = tile.labels.columns = preview.width;
    tile.gray.rows = tile.labels.rows = preview.height;
    tile.gray.values.assign(preview.gray.begin() + static_cast<std::ptrdiff_t>(first),
                            preview.gray.begin() + static_cast<std::ptrdiff_t>(first + pixels));
    tile.labels.values.assign(preview.labels.begin() + static_cast<std::ptrdiff_t>(first),
                              preview.labels.begin() + static_cast<std::ptrdiff_t>(first + pixels));
    return tile;
}

Rect tileArea(const CasePreview& preview, Point topLeft) {
    const double scale = kTileSide / static_cast<double>(std::max(preview.width, preview.height));
    return {topLeft.x, topLeft.y, static_cast<double>(preview.width) * scale,
            static_cast<double>(preview.height) * scale};
}

struct TilePictures {
    RgbImage plain, labelled;
};

TilePictures paintTile(const CasePreview& preview, std::int64_t index) {
    const Rect area = tileArea(preview, {});
    const auto width = static_cast<std::int64_t>(area.width * kScale);
    const auto height = static_cast<std::int64_t>(area.height * kScale);
    const Tile tile = tileOf(preview, index);
    TilePictures pictures;
    pictures.plain = paintGray(tile.gray, Window::fromRange(0, 255), width, height);
    pictures.labelled = pictures.plain;
    paintLabels(pictures.labelled, magnifyLabels(tile.labels, width, height), labelColor, kOpacity, 1);
    return pictures;
}

/// The tiles of all rows, one after the other; painting them is most of a sheet's work.
std::vector<TilePictures> paintTiles(const std::vector<ContactSheetRow>& rows) {
    std::vector<std::pair<const CasePreview*, std::int64_t>> tiles;
    for (const ContactSheetRow& row : rows)
        for (std::int64_t tile = 0; tile < row.preview.tiles(); ++tile) tiles.emplace_back(&row.preview, tile);
    std::vector<TilePictures> pictures(tiles.size());
    parallelForEach(0, static_cast<std::int64_t>(tiles.size()), [&](std::int64_t i) {
        const auto& [preview, tile] = tiles[static_cast<std::size_t>(i)];
        pictures[static_cast<std::size_t>(i)] = paintTile(*preview, tile);
    });
    return pictures;
}

/// Plain above, with labels below.
void drawTile(Canvas& canvas, const CasePreview& preview, const TilePictures& pictures, Point topLeft) {
    const Rect area = tileArea(preview, topLeft);
    canvas.image(area, pictures.plain, true);
    canvas.image({area.x, area.y + area.height + kGap, area.width, area.height}, pictures.labelled, true);
}

double rowHeight(const ContactSheetRow& row) {
    return kCaption + 2 * tileArea(row.preview, {}).height + kGap + kRowGap;
}

sheet::Legend legendOf(const std::vector<ContactSheetRow>& rows, const LabelTable& names) {
    std::map<int, std::int64_t> areas;
    for (const ContactSheetRow& row : rows)
        for (const std::uint8_t label : row.preview.labels)
            if (label != 0) ++areas[label];
    OverlayRow all;
    for (const auto& [label, area] : areas)
        all.legend.push_back({names.findId(label) != nullptr ? names.nameOf(label) : fmt::format("label {}", label),
                              labelColor(label), area});
    return sheet::mergeLegends(std::span<const OverlayRow>(&all, 1));
}

/// "80 slices, 5 labels": what the record says of them.
std::string detailOf(const CaseRecord& record) {
    std::string detail;
    if (const auto slices = record.values.find("slices"); slices != record.values.end()) {
        std::size_t count = slices->is_array() ? slices->size() : 0;
        if (slices->is_object())
            for (const auto& [axis, indices] : slices->items()) count += indices.size();
        detail = fmt::format("{} slices", count);
    }
    if (const auto labels = record.values.find("labels"); labels != record.values.end())
        detail += fmt::format("{}{} labels", detail.empty() ? "" : ", ", labels->size());
    return detail;
}

/// Slices of one case with any label (any slices without), turned so that the patient's right or front is on the left.
CasePreview previewOf(const SliceCache& cache, std::int64_t caseIndex) {
    const SliceFormat& format = cache.format();
    std::vector<std::int64_t> slices, labelled;
    for (std::int64_t k = 0; k < cache.caseAt(caseIndex).sliceCount(); ++k) {
        slices.push_back(cache.firstSliceOf(caseIndex) + k);
        const auto counts = cache.labelCounts(slices.back());
        if (std::any_of(counts.begin() + 1, counts.end(), [](std::uint32_t pixels) { return pixels > 0; }))
            labelled.push_back(slices.back());
    }
    if (!labelled.empty()) slices = labelled;
    CasePreview preview;
    std::vector<float> image(static_cast<std::size_t>(format.pixelCount()));
    for (const std::int64_t tile : previewTiles(static_cast<std::int64_t>(slices.size()))) {
        const std::int64_t slice = slices[static_cast<std::size_t>(tile)];
        cache.copyImage(slice, image.data());
        const auto labels = cache.labelBytes(slice, 0);
        const auto pixel = [&](std::int64_t row, std::int64_t column) {
            return static_cast<std::size_t>((format.height - 1 - row) * format.width + format.width - 1 - column);
        };
        addPreviewTile(
            preview, format.height, format.width,
            [&](std::int64_t row, std::int64_t column) {
                return previewByte(image[pixel(row, column)], {0, 1});
            },
            // The low byte of two-byte labels: colours repeat above 255.
            [&](std::int64_t row, std::int64_t column) {
                return labels[pixel(row, column) * static_cast<std::size_t>(format.labelBytes())];
            });
    }
    return preview;
}

}  // namespace

Canvas composeContactSheet(const std::vector<ContactSheetRow>& rows, const std::string& title,
                           const LabelTable& names) {
    std::int64_t tiles = 1;
    double height = 2 * sheet::kMargin + kTitle;
    for (const ContactSheetRow& row : rows) {
        tiles = std::max(tiles, row.preview.tiles());
        height += rowHeight(row);
    }
    const double inner = std::max(400.0, static_cast<double>(tiles) * (kTileSide + kGap) - kGap);
    const sheet::Legend legend = legendOf(rows, names);
    const Canvas measure(1, 1);
    height += sheet::legendHeight(measure, inner, legend);
    Canvas canvas(inner + 2 * sheet::kMargin, height, palette::kPaper, kScale);
    const std::vector<TilePictures> pictures = paintTiles(rows);
    std::size_t next = 0;
    double y = sheet::kMargin;
    canvas.text({sheet::kMargin, y + 12}, title, {.size = 14, .bold = true});
    y += kTitle;
    for (const ContactSheetRow& row : rows) {
        const TextStyle name{.size = 10, .bold = true}, detail{.size = 9, .color = palette::kMutedInk};
        canvas.text({sheet::kMargin, y + 9}, canvas.fitText(row.title, inner, name), name);
        const double used = canvas.textWidth(row.title, name) + 10;
        if (used < inner)
            canvas.text({sheet::kMargin + used, y + 9}, canvas.fitText(row.detail, inner - used, detail), detail);
        for (std::int64_t tile = 0; tile < row.preview.tiles(); ++tile)
            drawTile(canvas, row.preview, pictures[next++],
                     {sheet::kMargin + static_cast<double>(tile) * (kTileSide + kGap), y + kCaption});
        y += rowHeight(row);
    }
    sheet::drawLegend(canvas, {sheet::kMargin, y}, inner, legend);
    return canvas;
}

bool writeContactSheet(const std::filesystem::path& path, const std::filesystem::path& output,
                       const CasePipelineResult& result, const std::string& title, const LabelTable& names,
                       std::size_t mostCases) {
    const std::size_t count = std::min(mostCases, result.records.size());
    std::vector<ContactSheetRow> rows;
    for (std::size_t i = 0; i < count; ++i) {
        const CaseRecord& record = result.records[i * result.records.size() / count];
        CasePreview preview = readCasePreview(output, record.id);
        if (preview.tiles() == 0) continue;
        rows.push_back({record.id, detailOf(record), std::move(preview)});
    }
    if (rows.empty()) return false;
    composeContactSheet(rows, title, names).writePng(path);
    return true;
}

void writeContactSheet(const std::filesystem::path& path, const SliceCache& cache, std::size_t mostCases) {
    const auto cases = static_cast<std::size_t>(cache.caseCount());
    const std::size_t count = std::min(mostCases, cases);
    std::vector<ContactSheetRow> rows;
    for (std::size_t i = 0; i < count; ++i) {
        const auto index = static_cast<std::int64_t>(i * cases / count);
        const CachedCase& item = cache.caseAt(index);
        rows.push_back({item.id, fmt::format("{} slices", item.sliceCount()), previewOf(cache, index)});
    }
    const std::string title =
        fmt::format("{} slices of {} of {} cases", sliceAxisName(cache.format().axis), count, cases);
    composeContactSheet(rows, title, cache.labels()).writePng(path);
}

}  // namespace medseg
