#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/report/chart_frame.h"
#include "medseg/report/charts.h"

namespace medseg {
namespace {

constexpr double kRowHeight = 18;
constexpr double kBarHeight = 11;
constexpr double kColumnGap = 28;
constexpr std::size_t kMostRowsInOneColumn = 60;
const TextStyle kName{.size = 10, .color = palette::kInk, .align = TextAlign::Right};
const TextStyle kValue{.size = 9.5, .color = palette::kInk, .halo = palette::kPaper};

/// Sizes that all columns of a ranking share.
struct BarLayout {
    double nameWidth = 0;
    double valueWidth = 0;
    std::size_t rows = 0;
};

std::string valueLabel(const BarChart& chart, const Bar& bar) {
    if (!bar.label.empty()) return bar.label;
    return std::isfinite(bar.value) ? fmt::format("{:.{}f}", bar.value, chart.decimals) : "n/a";
}

AxisScale chooseScale(const BarChart& chart, double width) {
    DataRange range;
    range.add({chart.value.logarithmic ? std::numeric_limits<double>::quiet_NaN() : 0.0});
    for (const Bar& bar : chart.bars)
        range.add({bar.value, bar.low.value_or(bar.value), bar.high.value_or(bar.value)}, chart.value.logarithmic);
    if (chart.reference) range.add({*chart.reference}, chart.value.logarithmic);
    return AxisScale(chart.value, range.low, range.high, chart::tickCount(width, 56));
}

void drawWhisker(Canvas& canvas, double from, double to, double y) {
    const Stroke stroke{.color = palette::kInk, .width = 1, .alpha = 0.7};
    canvas.line({from, y}, {to, y}, stroke);
    canvas.line({from, y - 2.5}, {from, y + 2.5}, stroke);
    canvas.line({to, y - 2.5}, {to, y + 2.5}, stroke);
}

/// Where the rows of one column lie.
struct BarColumn {
    Rect plot;  ///< the bars' area, kRowHeight a row
    AxisScale scale;

    double middle(std::size_t row) const { return plot.y + kRowHeight * (static_cast<double>(row) + 0.5); }
    double place(double value) const { return plot.x + std::clamp(scale.fraction(value), 0.0, 1.0) * plot.width; }
};

/// Draws the bar and its whisker; returns where the value label may start.
double drawBar(Canvas& canvas, const BarColumn& column, double middle, const BarChart& chart, const Bar& bar) {
    if (!std::isfinite(bar.value) || !std::isfinite(column.scale.fraction(bar.value))) return column.plot.x;
    const double base =
        chart.value.logarithmic ? column.scale.low() : std::clamp(0.0, column.scale.low(), column.scale.high());
    const double zero = column.place(base), end = column.place(bar.value);
    canvas.fillRect({std::min(zero, end), middle - kBarHeight / 2, std::abs(end - zero), kBarHeight},
                    {bar.color.value_or(chart.color)}, 1.5);
    if (!bar.low || !bar.high || !std::isfinite(*bar.low) || !std::isfinite(*bar.high)) return std::max(zero, end);
    drawWhisker(canvas, column.place(*bar.low), column.place(*bar.high), middle);
    return std::max({zero, end, column.place(*bar.high)});
}

void drawReference(Canvas& canvas, const BarColumn& column, const BarChart& chart) {
    if (!chart.reference || !std::isfinite(*chart.reference)) return;
    const double x = column.place(*chart.reference);
    canvas.line({x, column.plot.y - 4}, {x, column.plot.bottom()},
                {.color = palette::kInk, .width = 1, .alpha = 0.75, .dashed = true});
    canvas.text({x, column.plot.y - 8}, chart.referenceLabel,
                {.size = 9.5, .color = palette::kInk, .align = TextAlign::Center});
}

void drawColumn(Canvas& canvas, const Rect& area, const BarChart& chart, std::size_t first, const BarLayout& layout) {
    const Rect plot{area.x + layout.nameWidth + 8, area.y, area.width - layout.nameWidth - layout.valueWidth - 16,
                    kRowHeight * static_cast<double>(layout.rows)};
    const BarColumn column{plot, chooseScale(chart, plot.width)};
    chart::drawBottomAxis(canvas, plot, column.scale, chart.value.label, true);
    if (chart.bars.empty()) chart::drawNotice(canvas, plot, "no data");
    const std::size_t count = std::min(chart.bars.size() - std::min(first, chart.bars.size()), layout.rows);
    std::vector<double> ends;
    for (std::size_t row = 0; row < count; ++row)
        ends.push_back(drawBar(canvas, column, column.middle(row), chart, chart.bars[first + row]));
    drawReference(canvas, column, chart);
    for (std::size_t row = 0; row < count; ++row) {
        const Bar& bar = chart.bars[first + row];
        canvas.text({plot.x - 8, column.middle(row) + kName.size * 0.36},
                    canvas.fitText(bar.name, layout.nameWidth, kName), kName);
        TextStyle style = kValue;
        if (!std::isfinite(bar.value)) style.color = palette::kMutedInk;
        canvas.text({ends[row] + 6, column.middle(row) + style.size * 0.36}, valueLabel(chart, bar), style);
    }
    canvas.line({plot.x, plot.y}, {plot.x, plot.bottom()}, {.color = palette::kAxis, .width = 1});
}

}  // namespace

Canvas renderBarChart(const BarChart& chart, double width) {
    std::size_t columns = chart.columns > 0                          ? static_cast<std::size_t>(chart.columns)
                          : chart.bars.size() > kMostRowsInOneColumn ? 2
                                                                     : 1;
    columns = std::clamp<std::size_t>(columns, 1, std::max<std::size_t>(1, chart.bars.size()));
    if (columns > 1) width *= 1.35;
    BarLayout layout;
    layout.rows = std::max<std::size_t>(2, (chart.bars.size() + columns - 1) / columns);

    const Canvas ruler(1, 1);
    for (const Bar& bar : chart.bars) {
        layout.nameWidth = std::max(layout.nameWidth, ruler.textWidth(bar.name, kName));
        layout.valueWidth = std::max(layout.valueWidth, ruler.textWidth(valueLabel(chart, bar), kValue));
    }
    const double columnWidth =
        (width - 2 * chart::kMargin - kColumnGap * static_cast<double>(columns - 1)) / static_cast<double>(columns);
    layout.nameWidth = std::min(layout.nameWidth, 0.45 * columnWidth);
    layout.valueWidth = std::min(layout.valueWidth, 0.25 * columnWidth);

    const double head =
        (chart.title.empty() ? 0 : 20) + (chart.subtitle.empty() ? 0 : 17) + 6 + (chart.reference ? 14 : 0);
    const double height = 2 * chart::kMargin - 6 + head + kRowHeight * static_cast<double>(layout.rows) +
                          chart::horizontalAxisHeight(chart.value.label);
    Canvas canvas(width, height);
    Rect rest = chart::drawTitle(canvas, canvas.bounds().inset(chart::kMargin, chart::kMargin, chart::kMargin, 18),
                                 chart.title, chart.subtitle);
    if (chart.reference) rest = rest.inset(0, 14, 0, 0);
    for (std::size_t column = 0; column < columns; ++column)
        drawColumn(
            canvas,
            {rest.x + (columnWidth + kColumnGap) * static_cast<double>(column), rest.y, columnWidth, rest.height},
            chart, column * layout.rows, layout);
    return canvas;
}

}  // namespace medseg
