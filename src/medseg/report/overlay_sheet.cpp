#include "medseg/report/overlay_sheet.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "medseg/report/axis.h"

namespace medseg::sheet {
namespace {

constexpr std::size_t kLegendItems = 48;
constexpr double kLegendRow = 16;
constexpr double kSwatch = 10;
const TextStyle kLegendText{.size = 9.5, .color = palette::kInk};
const TextStyle kOnPicture{
    .size = 9.5, .color = {255, 255, 255}, .bold = true, .align = TextAlign::Center, .halo = Color{0, 0, 0}};

double legendColumnWidth(const Canvas& canvas, double width, const Legend& legend) {
    double widest = 60;
    for (const LegendItem& item : legend.items) widest = std::max(widest, canvas.textWidth(item.name, kLegendText));
    return std::min(width, widest + kSwatch + 6 + 16);
}

std::size_t legendColumns(const Canvas& canvas, double width, const Legend& legend) {
    const auto fitting = static_cast<std::size_t>((width + 16) / legendColumnWidth(canvas, width, legend));
    return std::max<std::size_t>(1, fitting);
}

std::size_t legendCells(const Legend& legend) {
    return legend.items.size() + (legend.hidden > 0 ? 1 : 0);
}

}  // namespace

PictureSize fitPicture(double widthMm, double heightMm, double longest) {
    const double scale = longest * kPixelsPerPoint / std::max(widthMm, heightMm);
    PictureSize size;
    size.pixelWidth = std::max<std::int64_t>(1, std::llround(widthMm * scale));
    size.pixelHeight = std::max<std::int64_t>(1, std::llround(heightMm * scale));
    size.width = static_cast<double>(size.pixelWidth) / kPixelsPerPoint;
    size.height = static_cast<double>(size.pixelHeight) / kPixelsPerPoint;
    return size;
}

std::string describeSlice(const SliceView2D& view, std::int64_t slice) {
    const char axis = view.plane() == ViewPlane::Axial ? 'z' : view.plane() == ViewPlane::Coronal ? 'y' : 'x';
    return fmt::format("{} slice {} of 0–{}, {} = {:.1f} mm", viewPlaneName(view.plane()), slice, view.slices() - 1,
                       axis, view.slicePosition(slice));
}

std::string describeVoxels(const OverlayCase& overlay, const Window& window) {
    const Vec3 spacing = overlay.image->geometry().spacing();
    const std::string voxels =
        overlay.isSized ? fmt::format("voxels {:.3g} × {:.3g} × {:.3g} mm, ", spacing[0], spacing[1], spacing[2]) : "";
    return fmt::format("{}window {} to {}", voxels, formatShort(window.low()), formatShort(window.high()));
}

void drawOrientation(Canvas& canvas, const Rect& picture, const std::array<char, 4>& letters) {
    const double middleX = picture.x + picture.width / 2, middleY = picture.y + picture.height / 2 + 3.5;
    canvas.text({picture.x + 9, middleY}, std::string(1, letters[0]), kOnPicture);
    canvas.text({picture.right() - 9, middleY}, std::string(1, letters[1]), kOnPicture);
    canvas.text({middleX, picture.y + 13}, std::string(1, letters[2]), kOnPicture);
    canvas.text({middleX, picture.bottom() - 6}, std::string(1, letters[3]), kOnPicture);
}

void drawScaleBar(Canvas& canvas, const Rect& picture, double millimetresPerPoint) {
    double millimetres = 0;
    for (const double length : {1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0})
        if (length <= picture.width * millimetresPerPoint / 3.5) millimetres = length;
    if (millimetres <= 0) return;
    const double length = millimetres / millimetresPerPoint;
    const double x = picture.x + 10, y = picture.bottom() - 11;
    canvas.line({x - 0.75, y}, {x + length + 0.75, y}, {.color = {0, 0, 0}, .width = 4, .alpha = 0.7});
    canvas.line({x, y}, {x + length, y}, {.color = {255, 255, 255}, .width = 2.5});
    TextStyle style = kOnPicture;
    style.align = TextAlign::Left;
    style.bold = false;
    style.size = 9;
    canvas.text({x, y - 6},
                millimetres >= 10 ? fmt::format("{:.0f} cm", millimetres / 10) : fmt::format("{:.0f} mm", millimetres),
                style);
}

StructureColors::StructureColors(const OverlayCase& overlay) {
    for (const LabelMap* labels : {overlay.reference, overlay.prediction}) {
        if (labels == nullptr) continue;
        std::set<Color> used;
        bool distinct = true;
        for (const Label& label : labels->table().labels()) distinct = used.insert(label.color).second && distinct;
        for (const Label& label : labels->table().labels())
            colors_.emplace(label.name, distinct ? label.color : labelColor(label.id));
    }
}

Color StructureColors::of(const LabelTable& table, int id) const {
    const auto found = colors_.find(table.nameOf(id));
    return found != colors_.end() ? found->second : labelColor(id);
}

void collectLegend(const Plane2D<int>& labels, const LabelTable& table, const StructureColors& colors,
                   std::vector<LegendItem>& legend) {
    std::map<int, std::int64_t> areas;
    for (const int label : labels.values)
        if (label != 0) ++areas[label];
    for (const auto& [label, area] : areas) {
        const std::string name = table.nameOf(label);
        const auto known =
            std::find_if(legend.begin(), legend.end(), [&](const LegendItem& item) { return item.name == name; });
        if (known == legend.end())
            legend.push_back({name, colors.of(table, label), area});
        else
            known->area = std::max(known->area, area);
    }
}

Legend mergeLegends(std::span<const OverlayRow> rows) {
    Legend legend;
    for (const OverlayRow& row : rows)
        for (const LegendItem& item : row.legend) {
            const auto known = std::find_if(legend.items.begin(), legend.items.end(),
                                            [&](const LegendItem& other) { return other.name == item.name; });
            if (known == legend.items.end())
                legend.items.push_back(item);
            else
                known->area += item.area;
        }
    std::stable_sort(legend.items.begin(), legend.items.end(),
                     [](const LegendItem& a, const LegendItem& b) { return a.area > b.area; });
    if (legend.items.size() > kLegendItems) {
        legend.hidden = legend.items.size() - kLegendItems;
        legend.items.resize(kLegendItems);
    }
    return legend;
}

double legendHeight(const Canvas& canvas, double width, const Legend& legend) {
    const std::size_t columns = legendColumns(canvas, width, legend);
    return kLegendRow * static_cast<double>((legendCells(legend) + columns - 1) / columns);
}

void drawLegend(Canvas& canvas, Point topLeft, double width, const Legend& legend) {
    const double columnWidth = legendColumnWidth(canvas, width, legend);
    const std::size_t columns = legendColumns(canvas, width, legend);
    for (std::size_t i = 0; i < legendCells(legend); ++i) {
        const double x = topLeft.x + columnWidth * static_cast<double>(i % columns);
        const double y = topLeft.y + kLegendRow * static_cast<double>(i / columns);
        if (i == legend.items.size()) {
            TextStyle muted = kLegendText;
            muted.color = palette::kMutedInk;
            canvas.text({x, y + 9}, fmt::format("and {} more", legend.hidden), muted);
            continue;
        }
        canvas.fillRect({x, y, kSwatch, kSwatch}, {legend.items[i].color}, 2);
        canvas.text({x + kSwatch + 6, y + 9},
                    canvas.fitText(legend.items[i].name, columnWidth - kSwatch - 12, kLegendText), kLegendText);
    }
}

}  // namespace medseg::sheet
