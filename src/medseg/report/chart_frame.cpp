#include "medseg/report/chart_frame.h"

#include <algorithm>
#include <cmath>

namespace medseg::chart {
namespace {

constexpr double kTickGap = 6;
constexpr double kLegendRow = 18;
constexpr double kLegendMark = 18;

}  // namespace

TextStyle aligned(TextStyle style, TextAlign align) {
    style.align = align;
    return style;
}

Rect drawTitle(Canvas& canvas, const Rect& area, const std::string& title, const std::string& subtitle) {
    double y = area.y;
    if (!title.empty()) {
        canvas.text({area.x, y + kTitle.size * 0.8}, canvas.fitText(title, area.width, kTitle), kTitle);
        y += 20;
    }
    if (!subtitle.empty()) {
        canvas.text({area.x, y + kSubtitle.size * 0.8}, canvas.fitText(subtitle, area.width, kSubtitle), kSubtitle);
        y += 17;
    }
    if (y > area.y) y += 6;
    return area.inset(0, y - area.y, 0, 0);
}

Rect drawLegend(Canvas& canvas, const Rect& area, const std::vector<LegendEntry>& entries, std::size_t minimum) {
    if (entries.size() < minimum) return area;
    double x = area.x, y = area.y;
    for (const LegendEntry& entry : entries) {
        const std::string name = canvas.fitText(entry.name, area.width - kLegendMark - 6, kLegend);
        const double width = kLegendMark + 6 + canvas.textWidth(name, kLegend) + 16;
        if (x > area.x && x + width - 16 > area.right()) {
            x = area.x;
            y += kLegendRow;
        }
        const double middle = y + 7;
        if (entry.mark == LegendEntry::Mark::Box)
            canvas.fillRect({x + 4, middle - 5, 10, 10}, {entry.color}, 2);
        else
            canvas.line({x, middle}, {x + kLegendMark, middle},
                        {.color = entry.color, .width = 2, .dashed = entry.mark == LegendEntry::Mark::DashedLine});
        canvas.text({x + kLegendMark + 6, middle + kLegend.size * 0.36}, name, kLegend);
        x += width;
    }
    return area.inset(0, y - area.y + kLegendRow + 8, 0, 0);
}

double verticalAxisWidth(const Canvas& canvas, const AxisScale& scale, const std::string& label) {
    double width = 0;
    for (const Tick& tick : scale.ticks()) width = std::max(width, canvas.textWidth(tick.label, kTickLabel));
    return width + kTickGap + (label.empty() ? 0 : kLabel.size + 8);
}

double horizontalAxisHeight(const std::string& label) {
    return kTickGap + 12 + (label.empty() ? 0 : kLabel.size + 8);
}

void drawLeftAxis(Canvas& canvas, const Rect& plot, const AxisScale& scale, const std::string& label) {
    for (const Tick& tick : scale.ticks()) {
        const double y = plot.bottom() - scale.fraction(tick.value) * plot.height;
        canvas.line({plot.x, y}, {plot.right(), y}, {.color = palette::kGrid, .width = 0.75});
        canvas.text({plot.x - kTickGap, y + kTickLabel.size * 0.36}, tick.label, aligned(kTickLabel, TextAlign::Right));
    }
    if (label.empty()) return;
    TextStyle style = aligned(kLabel, TextAlign::Center);
    style.angle = -90;
    canvas.text({plot.x - verticalAxisWidth(canvas, scale, label) + kLabel.size * 0.8, plot.y + plot.height / 2}, label,
                style);
}

void drawRightAxis(Canvas& canvas, const Rect& plot, const AxisScale& scale, const std::string& label, Color color) {
    TextStyle style = kTickLabel;
    style.color = color;
    for (const Tick& tick : scale.ticks()) {
        const double y = plot.bottom() - scale.fraction(tick.value) * plot.height;
        canvas.line({plot.right(), y}, {plot.right() + 3, y}, {.color = palette::kAxis, .width = 0.75});
        canvas.text({plot.right() + kTickGap, y + style.size * 0.36}, tick.label, style);
    }
    if (label.empty()) return;
    style = aligned(kLabel, TextAlign::Center);
    style.color = color;
    style.angle = 90;
    canvas.text({plot.right() + verticalAxisWidth(canvas, scale, label) - kLabel.size * 0.8, plot.y + plot.height / 2},
                label, style);
}

void drawBottomAxis(Canvas& canvas, const Rect& plot, const AxisScale& scale, const std::string& label, bool grid) {
    for (const Tick& tick : scale.ticks()) {
        const double x = plot.x + scale.fraction(tick.value) * plot.width;
        if (grid)
            canvas.line({x, plot.y}, {x, plot.bottom()}, {.color = palette::kGrid, .width = 0.75});
        else
            canvas.line({x, plot.bottom()}, {x, plot.bottom() + 3}, {.color = palette::kAxis, .width = 0.75});
        canvas.text({x, plot.bottom() + kTickGap + kTickLabel.size * 0.9}, tick.label,
                    aligned(kTickLabel, TextAlign::Center));
    }
    canvas.line({plot.x, plot.bottom()}, {plot.right(), plot.bottom()}, {.color = palette::kAxis, .width = 1});
    if (!label.empty())
        canvas.text({plot.x + plot.width / 2, plot.bottom() + horizontalAxisHeight(label) - 2}, label,
                    aligned(kLabel, TextAlign::Center));
}

int tickCount(double points, double room) {
    return std::clamp(static_cast<int>(points / room), 2, 12);
}

void drawNotice(Canvas& canvas, const Rect& plot, const std::string& text) {
    canvas.text({plot.x + plot.width / 2, plot.y + plot.height / 2}, text, aligned(kSubtitle, TextAlign::Center));
}

}  // namespace medseg::chart
