#include "medseg/report/contact_sheet.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "medseg/base/threads.h"
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

sheet::Legend legendOf(const std::vector<ContactSheetRow>& rows) {
    std::map<int, std::int64_t> areas;
    for (const ContactSheetRow& row : rows)
        for (const std::uint8_t label : row.preview.labels)
            if (label != 0) ++areas[label];
    OverlayRow all;
    for (const auto& [label, area] : areas)
        all.legend.push_back({fmt::format("label {}", label), labelColor(label), area});
    return sheet::mergeLegends(std::span<const OverlayRow>(&all, 1));
}

}  // namespace

Canvas composeContactSheet(const std::vector<ContactSheetRow>& rows, const std::string& title) {
    std::int64_t tiles = 1;
    double height = 2 * sheet::kMargin + kTitle;
    for (const ContactSheetRow& row : rows) {
        tiles = std::max(tiles, row.preview.tiles());
        height += rowHeight(row);
    }
    const double inner = std::max(400.0, static_cast<double>(tiles) * (kTileSide + kGap) - kGap);
    const sheet::Legend legend = legendOf(rows);
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
                       const CasePipelineResult& result, const std::string& title, std::size_t mostCases) {
    const std::size_t count = std::min(mostCases, result.records.size());
    std::vector<ContactSheetRow> rows;
    for (std::size_t i = 0; i < count; ++i) {
        const CaseRecord& record = result.records[i * result.records.size() / count];
        CasePreview preview = readCasePreview(output, record.id);
        if (preview.tiles() == 0) continue;
        std::string detail;
        if (record.values.contains("slices") && record.values["slices"].is_array())
            detail = fmt::format("{} slices", record.values["slices"].size());
        if (record.values.contains("labels"))
            detail += fmt::format("{}{} labels", detail.empty() ? "" : ", ", record.values["labels"].size());
        rows.push_back({record.id, std::move(detail), std::move(preview)});
    }
    if (rows.empty()) return false;
    composeContactSheet(rows, title).writePng(path);
    return true;
}

}  // namespace medseg
