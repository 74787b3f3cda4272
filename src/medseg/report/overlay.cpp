#include "medseg/report/overlay.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/report/chart_frame.h"
#include "medseg/report/overlay_sheet.h"
#include "medseg/report/panel.h"

namespace medseg {
namespace {

constexpr double kOutlinePixels = 1.5;
constexpr double kPanelGap = 10;
constexpr double kRowGap = 22;
constexpr double kCaption = 16;
constexpr Color kReferenceOutline{255, 255, 255};

const TextStyle kRowName{.size = 11, .color = palette::kInk, .bold = true};
const TextStyle kCaptionText{.size = 10, .color = palette::kInk};

std::int64_t chooseSlice(const OverlayCase& overlay, const SliceView2D& view,
                         const std::optional<std::int64_t>& wanted) {
    if (wanted) {
        if (*wanted < 0 || *wanted >= view.slices())
            throw UsageError(fmt::format("{}: {} slice {} does not exist: choose 0 to {}", overlay.imageFile,
                                         viewPlaneName(view.plane()), *wanted, view.slices() - 1));
        return *wanted;
    }
    const LabelMap* labels = overlay.reference != nullptr ? overlay.reference : overlay.prediction;
    return labels != nullptr ? mostInformativeSlice(*labels, view) : view.slices() / 2;
}

void requireMatchingCase(const OverlayCase& overlay) {
    if (overlay.image == nullptr || overlay.image->empty()) throw UsageError("an overlay needs an image");
    for (const auto& [labels, file] :
         {std::pair(overlay.reference, overlay.referenceFile), std::pair(overlay.prediction, overlay.predictionFile)})
        if (labels != nullptr)
            requireSameGeometry(overlay.image->geometry(), overlay.imageFile, labels->geometry(), file);
}

/// The gray slice of a case at its size on paper, and labels magnified onto it.
struct SlicePainter {
    SliceView2D view;
    std::int64_t slice;
    sheet::PictureSize size;
    RgbImage gray;

    SlicePainter(const OverlayCase& overlay, const SliceView2D& view, std::int64_t slice, const Window& window,
                 double longest)
        : view(view),
          slice(slice),
          size(sheet::fitPicture(view.widthMm(), view.heightMm(), longest)),
          gray(paintGray(extractPlane(*overlay.image, view, slice), window, size.pixelWidth, size.pixelHeight)) {}

    Plane2D<int> labels(const LabelMap& map) const {
        return magnifyLabels(extractPlane(map, view, slice), size.pixelWidth, size.pixelHeight);
    }
    RgbImage overlaid(const Plane2D<int>& labels, const LabelTable& table, const sheet::StructureColors& colors,
                      double opacity) const {
        RgbImage picture = gray;
        paintLabels(
            picture, labels, [&](int id) { return colors.of(table, id); }, opacity, kOutlinePixels);
        return picture;
    }
};

/// "■ missed  ■ extra  ■ other structure" below a difference panel's row.
void drawDifferenceKey(Canvas& canvas, Point topLeft) {
    const TextStyle style{.size = 9.5, .color = palette::kInk};
    double x = topLeft.x;
    const auto item = [&](Color color, const char* text) {
        canvas.fillRect({x, topLeft.y, 10, 10}, {color}, 2);
        canvas.text({x + 16, topLeft.y + 9}, text, style);
        x += 16 + canvas.textWidth(text, style) + 16;
    };
    const char* lead = "Difference:";
    canvas.text({x, topLeft.y + 9}, lead, style);
    x += canvas.textWidth(lead, style) + 12;
    item(difference::kAgreed, "agreement");
    item(difference::kMissed, "missed (reference only)");
    item(difference::kExtra, "extra (prediction only)");
    item(difference::kConfused, "other structure");
    canvas.fillRect({x, topLeft.y, 10, 10}, {{60, 64, 72}}, 2);
    canvas.line({x + 1, topLeft.y + 5}, {x + 9, topLeft.y + 5}, {.color = kReferenceOutline, .width = 1.5});
    canvas.text({x + 16, topLeft.y + 9}, "outline of the reference", style);
}

void drawRow(Canvas& canvas, Point topLeft, const OverlayRow& row, bool captions) {
    const double y = topLeft.y + (captions ? kCaption : 0);
    for (std::size_t i = 0; i < row.panels.size(); ++i) {
        const Rect area{topLeft.x + (row.width + kPanelGap) * static_cast<double>(i), y, row.width, row.height};
        if (captions)
            canvas.text({area.x, y - 6}, canvas.fitText(row.panels[i].caption, area.width, kCaptionText), kCaptionText);
        canvas.image(area, row.panels[i].picture, false);
        if (row.letters[0] != 0) sheet::drawOrientation(canvas, area, row.letters);
        if (i == 0 && row.millimetresPerPoint > 0) sheet::drawScaleBar(canvas, area, row.millimetresPerPoint);
    }
}

}  // namespace

Window automaticWindow(const Volume<float>& image) {
    const ValueRange range = finiteRange<float>(image.voxels());
    if (range.low < -200) return {40, 400};
    const std::vector<double> bounds =
        percentiles<float>(image.voxels(), std::vector<double>{0.5, 99.5}, Selection::Positive);
    return bounds[1] > bounds[0] ? Window::fromRange(bounds[0], bounds[1])
                                 : Window::fromRange(range.low, std::max(range.high, range.low + 1));
}

OverlayRow renderOverlayRow(const OverlayCase& overlay, const OverlayOptions& options) {
    requireMatchingCase(overlay);
    const Window window = options.window ? *options.window : automaticWindow(*overlay.image);
    const SliceView2D view(overlay.image->geometry(), options.plane);
    const SlicePainter painter(overlay, view, chooseSlice(overlay, view, options.slice), window, options.panelSize);

    OverlayRow row;
    row.name = overlay.name;
    row.detail = fmt::format("{}, {}",
                             overlay.isOriented ? sheet::describeSlice(view, painter.slice)
                                                : fmt::format("slice {} of 0–{}", painter.slice, view.slices() - 1),
                             sheet::describeVoxels(overlay, window));
    row.width = painter.size.width;
    row.height = painter.size.height;
    row.millimetresPerPoint = overlay.isSized ? view.widthMm() / row.width : 0;
    if (overlay.isOriented)
        row.letters = {view.leftLetter(), view.rightLetter(), view.topLetter(), view.bottomLetter()};
    row.panels.push_back({"Image", painter.gray});
    const sheet::StructureColors colors(overlay);
    Plane2D<int> reference, prediction;
    const auto addPanel = [&](const char* caption, const LabelMap& map) {
        const Plane2D<int> labels = painter.labels(map);
        row.panels.push_back({caption, painter.overlaid(labels, map.table(), colors, options.opacity)});
        sheet::collectLegend(labels, map.table(), colors, row.legend);
        return labels;
    };
    if (overlay.reference != nullptr) reference = addPanel("Reference", *overlay.reference);
    if (overlay.prediction != nullptr) prediction = addPanel("Prediction", *overlay.prediction);
    if (overlay.reference == nullptr || overlay.prediction == nullptr) return row;

    row.hasDifference = true;
    RgbImage picture = painter.gray;
    paintDifference(picture, reference, prediction);
    paintOutlines(picture, reference, kReferenceOutline, 1);
    const double dice = sliceDice(extractPlane(*overlay.reference, view, painter.slice),
                                  extractPlane(*overlay.prediction, view, painter.slice));
    row.panels.push_back(
        {std::isnan(dice) ? "Difference" : fmt::format("Difference, mean Dice of this slice {:.3f}", dice),
         std::move(picture)});
    return row;
}

Canvas composeOverlays(std::span<const OverlayRow> rows, const std::string& title) {
    if (rows.empty()) throw UsageError("a sheet of overlays needs at least one case");
    double width = 0, height = 0;
    bool hasDifference = false;
    for (const OverlayRow& row : rows) {
        const auto panels = static_cast<double>(row.panels.size());
        width = std::max(width, row.width * panels + kPanelGap * (panels - 1));
        height += 34 + kCaption + row.height + kRowGap;
        hasDifference = hasDifference || row.hasDifference;
    }
    width = std::max(width, 640.0);
    const sheet::Legend legend = sheet::mergeLegends(rows);
    const Canvas ruler(1, 1);
    const double titleHeight = title.empty() ? 0 : 28;
    const double legendHeight = sheet::legendHeight(ruler, width, legend) + (hasDifference ? 20 : 0);
    Canvas canvas(width + 2 * sheet::kMargin,
                  titleHeight + height - kRowGap + 16 + legendHeight + 2 * sheet::kMargin - 8);

    double y = sheet::kMargin - 2;
    if (!title.empty()) {
        canvas.text({sheet::kMargin, y + 11}, canvas.fitText(title, width, chart::kTitle), chart::kTitle);
        y += titleHeight;
    }
    for (const OverlayRow& row : rows) {
        canvas.text({sheet::kMargin, y + 10}, canvas.fitText(row.name, width, kRowName), kRowName);
        canvas.text({sheet::kMargin, y + 25}, canvas.fitText(row.detail, width, chart::kLabel), chart::kLabel);
        drawRow(canvas, {sheet::kMargin, y + 34}, row, true);
        y += 34 + kCaption + row.height + kRowGap;
    }
    y += 16 - kRowGap;
    if (hasDifference) {
        drawDifferenceKey(canvas, {sheet::kMargin, y});
        y += 20;
    }
    sheet::drawLegend(canvas, {sheet::kMargin, y}, width, legend);
    return canvas;
}

Canvas renderOverlay(const OverlayCase& overlay, const OverlayOptions& options) {
    const OverlayRow row = renderOverlayRow(overlay, options);
    return composeOverlays({&row, 1});
}

Canvas renderMontage(const OverlayCase& overlay, const MontageOptions& options) {
    requireMatchingCase(overlay);
    if (options.columns < 1 || options.tiles < 1)
        throw UsageError(fmt::format("a montage of {} slices in {} columns is not possible: at least 1 each",
                                     options.tiles, options.columns));
    const Window window = options.window ? *options.window : automaticWindow(*overlay.image);
    const SliceView2D view(overlay.image->geometry(), options.plane);
    const LabelMap* labels = overlay.reference != nullptr ? overlay.reference : overlay.prediction;
    const std::vector<std::int64_t> slices = spreadSlices(labels, view, options.tiles);
    const sheet::PictureSize size = sheet::fitPicture(view.widthMm(), view.heightMm(), options.tileSize);

    constexpr double kGap = 6, kHead = 42;
    const auto columns = std::min<std::size_t>(static_cast<std::size_t>(options.columns), slices.size());
    const auto rowCount = static_cast<double>((slices.size() + columns - 1) / columns);
    const double width = std::max(480.0, static_cast<double>(columns) * (size.width + kGap) - kGap);
    const sheet::StructureColors colors(overlay);
    std::vector<RgbImage> tiles;
    OverlayRow legendRow;
    for (const std::int64_t slice : slices) {
        const SlicePainter painter(overlay, view, slice, window, options.tileSize);
        if (labels == nullptr) {
            tiles.push_back(painter.gray);
            continue;
        }
        const Plane2D<int> shown = painter.labels(*labels);
        tiles.push_back(painter.overlaid(shown, labels->table(), colors, options.opacity));
        sheet::collectLegend(shown, labels->table(), colors, legendRow.legend);
    }
    const sheet::Legend legend = sheet::mergeLegends({&legendRow, 1});
    const double legendHeight = legend.items.empty() ? 0 : sheet::legendHeight(Canvas(1, 1), width, legend) + 14;
    Canvas canvas(width + 2 * sheet::kMargin,
                  kHead + rowCount * (size.height + kGap) - kGap + legendHeight + 2 * sheet::kMargin);

    const double top = sheet::kMargin;
    canvas.text({sheet::kMargin, top + 8}, canvas.fitText(overlay.name, width, kRowName), kRowName);
    const std::string detail =
        fmt::format("{}slices, {}", overlay.isOriented ? fmt::format("{} ", viewPlaneName(options.plane)) : "",
                    sheet::describeVoxels(overlay, window));
    canvas.text({sheet::kMargin, top + 24}, canvas.fitText(detail, width, chart::kLabel), chart::kLabel);
    const TextStyle number{.size = 8.5, .color = {255, 255, 255}, .halo = Color{0, 0, 0}};
    for (std::size_t i = 0; i < tiles.size(); ++i) {
        const Rect area{sheet::kMargin + static_cast<double>(i % columns) * (size.width + kGap),
                        top + kHead + static_cast<double>(i / columns) * (size.height + kGap), size.width, size.height};
        canvas.image(area, tiles[i], false);
        canvas.text({area.x + 5, area.y + 12}, fmt::format("{}", slices[i]), number);
        TextStyle position = number;
        position.align = TextAlign::Right;
        if (overlay.isOriented)
            canvas.text({area.right() - 5, area.y + 12}, fmt::format("{:.0f} mm", view.slicePosition(slices[i])),
                        position);
        if (i == 0 && overlay.isOriented)
            sheet::drawOrientation(canvas, area, {view.leftLetter(), view.rightLetter(), ' ', ' '});
        if (i == 0 && overlay.isSized) sheet::drawScaleBar(canvas, area, view.widthMm() / size.width);
    }
    if (!legend.items.empty())
        sheet::drawLegend(canvas, {sheet::kMargin, canvas.height() - sheet::kMargin - legendHeight + 14}, width,
                          legend);
    return canvas;
}

}  // namespace medseg
