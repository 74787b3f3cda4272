#include <algorithm>
#include <cmath>

#include "medseg/report/chart_frame.h"
#include "medseg/report/charts.h"

namespace medseg {
namespace {

using chart::LegendEntry;

constexpr double kVerticalTickRoom = 38;
constexpr double kHorizontalTickRoom = 56;
/// Dots stay apart up to this many points a line.
constexpr std::size_t kMostMarkers = 32;

struct Scales {
    AxisScale x;
    AxisScale left;
    AxisScale right;
    bool hasRight;
};

Scales chooseScales(const LineChart& chart, const Rect& area) {
    DataRange x, left, right;
    bool hasRight = false;
    for (const LineSeries& series : chart.series) {
        x.add(series.x, chart.x.logarithmic);
        const Axis& axis = series.rightAxis ? chart.right : chart.y;
        (series.rightAxis ? right : left).add(series.y, axis.logarithmic);
        hasRight = hasRight || series.rightAxis;
    }
    Axis tight = chart.x;  // time axes end where the data end
    if (!tight.min && std::isfinite(x.low)) tight.min = x.low;
    if (!tight.max && std::isfinite(x.high) && x.high > x.low) tight.max = x.high;
    const int verticalTicks = chart::tickCount(area.height, kVerticalTickRoom);
    return {AxisScale(tight, x.low, x.high, chart::tickCount(area.width, kHorizontalTickRoom)),
            AxisScale(chart.y, left.low, left.high, verticalTicks),
            AxisScale(chart.right, right.low, right.high, verticalTicks), hasRight};
}

void drawSeries(Canvas& canvas, const Rect& plot, const LineSeries& series, const AxisScale& x, const AxisScale& y) {
    std::vector<Point> points;
    const std::size_t count = std::min(series.x.size(), series.y.size());
    for (std::size_t i = 0; i < count; ++i) {
        const Point point{plot.x + x.fraction(series.x[i]) * plot.width,
                          plot.bottom() - y.fraction(series.y[i]) * plot.height};
        if (series.steps && !points.empty()) points.push_back({point.x, points.back().y});
        points.push_back(point);
    }
    canvas.polyline(points, {.color = series.color, .width = series.width, .dashed = series.dashed});
    // A single point has no line, so it always gets a dot.
    if (!(series.markers && count <= kMostMarkers) && count != 1) return;
    for (const Point& point : points) {
        if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
        canvas.fillCircle(point, series.width * 1.5, {series.color});
    }
}

void drawMarkers(Canvas& canvas, const Rect& plot, const LineChart& chart, const AxisScale& x) {
    for (const LineMarker& marker : chart.markers) {
        const double position = plot.x + x.fraction(marker.x) * plot.width;
        if (!(position >= plot.x - 0.5 && position <= plot.right() + 0.5)) continue;
        canvas.line({position, plot.y - 4}, {position, plot.bottom()},
                    {.color = marker.color, .width = 1, .dashed = true});
        TextStyle style{.size = 9.5, .color = marker.color};
        const double half = canvas.textWidth(marker.label, style) / 2;
        style.align = TextAlign::Center;
        canvas.text({std::clamp(position, plot.x + half, std::max(plot.x + half, plot.right() - half)), plot.y - 8},
                    marker.label, style);
    }
}

}  // namespace

void drawLineChart(Canvas& canvas, const Rect& area, const LineChart& chart) {
    std::vector<LegendEntry> legend;
    for (const LineSeries& series : chart.series)
        if (!series.name.empty())
            legend.push_back(
                {series.name, series.color, series.dashed ? LegendEntry::Mark::DashedLine : LegendEntry::Mark::Line});
    Rect rest = chart::drawTitle(canvas, area, chart.title, chart.subtitle);
    rest = chart::drawLegend(canvas, rest, legend, 1);
    if (!chart.markers.empty()) rest = rest.inset(0, 16, 0, 0);

    const Scales scales = chooseScales(chart, rest);
    const Color rightColor = palette::kMutedInk;
    const Rect plot =
        rest.inset(chart::verticalAxisWidth(canvas, scales.left, chart.y.label), 4,
                   scales.hasRight ? chart::verticalAxisWidth(canvas, scales.right, chart.right.label) : 8,
                   chart::horizontalAxisHeight(chart.x.label));
    chart::drawLeftAxis(canvas, plot, scales.left, chart.y.label);
    if (scales.hasRight) chart::drawRightAxis(canvas, plot, scales.right, chart.right.label, rightColor);
    chart::drawBottomAxis(canvas, plot, scales.x, chart.x.label, false);
    drawMarkers(canvas, plot, chart, scales.x);
    if (chart.series.empty()) chart::drawNotice(canvas, plot, "no data yet");

    canvas.beginClip(plot.inset(-4, -4, -4, -4));
    for (const LineSeries& series : chart.series)
        if (series.rightAxis) drawSeries(canvas, plot, series, scales.x, scales.right);
    for (const LineSeries& series : chart.series)
        if (!series.rightAxis) drawSeries(canvas, plot, series, scales.x, scales.left);
    canvas.endClip();
}

Canvas renderLineChart(const LineChart& chart, double width, double height) {
    Canvas canvas(width, height);
    drawLineChart(canvas, canvas.bounds().inset(chart::kMargin, chart::kMargin, chart::kMargin, 18), chart);
    return canvas;
}

}  // namespace medseg
