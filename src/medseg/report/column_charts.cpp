// Upright charts: histogram and grouped bars.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "medseg/report/chart_frame.h"
#include "medseg/report/charts.h"

namespace medseg {
namespace {

using chart::LegendEntry;

constexpr double kVerticalTickRoom = 38;

/// Values per bin over [low, high]; the last bin includes its upper end, values outside are not counted.
std::vector<double> countBins(const std::vector<double>& values, double low, double high, int bins) {
    std::vector<double> counts(static_cast<std::size_t>(bins), 0.0);
    for (const double value : values) {
        if (!(value >= low && value <= high)) continue;
        const auto bin = static_cast<std::size_t>((value - low) / (high - low) * bins);
        ++counts[std::min(bin, counts.size() - 1)];
    }
    return counts;
}

double meanOfFinite(const std::vector<double>& values) {
    double sum = 0, count = 0;
    for (const double value : values)
        if (std::isfinite(value)) {
            sum += value;
            ++count;
        }
    return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

void drawGroup(Canvas& canvas, const Rect& plot, const std::vector<double>& counts, const AxisScale& y, Color color,
               bool alone) {
    const double binWidth = plot.width / static_cast<double>(counts.size());
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const double height = y.fraction(counts[i]) * plot.height;
        const Rect bar{plot.x + binWidth * static_cast<double>(i) + 0.75, plot.bottom() - height, binWidth - 1.5,
                       height};
        if (height <= 0) continue;
        canvas.fillRect(bar, {color, alone ? 0.85 : 0.45});
        if (!alone) canvas.strokeRect(bar, {.color = color, .width = 1});
    }
}

/// Category names under a plot: upright text where it fits, else slanted.
void drawCategories(Canvas& canvas, const Rect& plot, const GroupedBarChart& chart, bool slanted) {
    const double step = plot.width / static_cast<double>(chart.categories.size());
    TextStyle style = chart::kTickLabel;
    style.color = palette::kInk;
    style.align = slanted ? TextAlign::Right : TextAlign::Center;
    style.angle = slanted ? -40 : 0;
    for (std::size_t i = 0; i < chart.categories.size(); ++i) {
        const double x = plot.x + step * (static_cast<double>(i) + 0.5);
        canvas.text({x + (slanted ? 4 : 0), plot.bottom() + (slanted ? 12 : 16)},
                    slanted ? canvas.fitText(chart.categories[i], 130, style) : chart.categories[i], style);
    }
}

double widestCategory(const Canvas& canvas, const GroupedBarChart& chart) {
    double widest = 0;
    for (const std::string& category : chart.categories)
        widest = std::max(widest, canvas.textWidth(category, chart::kTickLabel));
    return widest;
}

void drawBars(Canvas& canvas, const Rect& plot, const GroupedBarChart& chart, const AxisScale& scale) {
    const double step = plot.width / static_cast<double>(chart.categories.size());
    const double barWidth = std::min(0.78 * step / static_cast<double>(chart.series.size()), 46.0);
    const double zero = std::clamp(scale.fraction(chart.value.logarithmic ? scale.low() : 0.0), 0.0, 1.0);
    const TextStyle label{.size = 9, .color = palette::kInk, .align = TextAlign::Center};
    for (std::size_t s = 0; s < chart.series.size(); ++s) {
        const GroupedBarChart::Series& series = chart.series[s];
        const Color color = series.color.value_or(palette::series(s));
        for (std::size_t i = 0; i < std::min(series.values.size(), chart.categories.size()); ++i) {
            const double place = std::clamp(scale.fraction(series.values[i]), 0.0, 1.0);
            if (!std::isfinite(place)) continue;
            const double x = plot.x + step * (static_cast<double>(i) + 0.5) +
                             barWidth * (static_cast<double>(s) - static_cast<double>(chart.series.size()) / 2);
            const double top = plot.bottom() - std::max(place, zero) * plot.height;
            canvas.fillRect({x + 0.75, top, barWidth - 1.5, std::abs(place - zero) * plot.height}, {color}, 1.5);
            const std::string text = fmt::format("{:.{}f}", series.values[i], chart.decimals);
            if (chart.valueLabels && canvas.textWidth(text, label) <= barWidth + 4)
                canvas.text({x + barWidth / 2, top - 4}, text, label);
        }
    }
}

}  // namespace

void drawHistogram(Canvas& canvas, const Rect& area, const HistogramChart& chart) {
    Rect rest = chart::drawTitle(canvas, area, chart.title, chart.subtitle);
    DataRange range;
    std::vector<LegendEntry> legend;
    const auto colorOf = [&](std::size_t i) { return chart.groups[i].color.value_or(palette::series(i)); };
    for (std::size_t i = 0; i < chart.groups.size(); ++i) {
        range.add(chart.groups[i].values);
        const double mean = meanOfFinite(chart.groups[i].values);
        std::string name = chart.groups[i].name;
        if (chart.showMean && std::isfinite(mean))
            name += fmt::format("{}mean {}", name.empty() ? "" : ", ", formatShort(mean));
        legend.push_back({name, colorOf(i), LegendEntry::Mark::Box});
    }
    rest = chart::drawLegend(canvas, rest, legend, 1);
    Axis value = chart.value;
    value.logarithmic = false;
    const AxisScale x(value, range.low, range.high, chart::tickCount(rest.width, 56));
    std::vector<std::vector<double>> counts;
    double highest = 1;
    for (const Distribution& group : chart.groups) {
        counts.push_back(countBins(group.values, x.low(), x.high(), std::max(1, chart.bins)));
        highest = std::max(highest, *std::max_element(counts.back().begin(), counts.back().end()));
    }
    const AxisScale y({.label = chart.countLabel, .min = 0, .integers = true}, 0, highest,
                      chart::tickCount(rest.height, kVerticalTickRoom));
    const Rect plot = rest.inset(chart::verticalAxisWidth(canvas, y, chart.countLabel), 4, 8,
                                 chart::horizontalAxisHeight(chart.value.label));
    chart::drawLeftAxis(canvas, plot, y, chart.countLabel);
    for (std::size_t i = 0; i < chart.groups.size(); ++i)
        drawGroup(canvas, plot, counts[i], y, colorOf(i), chart.groups.size() == 1);
    for (std::size_t i = 0; chart.showMean && i < chart.groups.size(); ++i) {
        const double mean = plot.x + x.fraction(meanOfFinite(chart.groups[i].values)) * plot.width;
        if (std::isfinite(mean))
            canvas.line({mean, plot.y}, {mean, plot.bottom()},
                        {.color = chart.groups.size() == 1 ? palette::kInk : colorOf(i), .width = 1.5, .dashed = true});
    }
    chart::drawBottomAxis(canvas, plot, x, chart.value.label, false);
    if (chart.groups.empty()) chart::drawNotice(canvas, plot, "no data");
}

Canvas renderHistogram(const HistogramChart& chart, double width, double height) {
    Canvas canvas(width, height);
    drawHistogram(canvas, canvas.bounds().inset(chart::kMargin, chart::kMargin, chart::kMargin, 18), chart);
    return canvas;
}

void drawGroupedBars(Canvas& canvas, const Rect& area, const GroupedBarChart& chart) {
    Rect rest = chart::drawTitle(canvas, area, chart.title, chart.subtitle);
    std::vector<LegendEntry> legend;
    DataRange range;
    if (!chart.value.logarithmic) range.add({0});
    for (std::size_t i = 0; i < chart.series.size(); ++i) {
        legend.push_back(
            {chart.series[i].name, chart.series[i].color.value_or(palette::series(i)), LegendEntry::Mark::Box});
        range.add(chart.series[i].values, chart.value.logarithmic);
    }
    rest = chart::drawLegend(canvas, rest, legend);
    const AxisScale scale(chart.value, range.low, range.high, chart::tickCount(rest.height, kVerticalTickRoom));
    const double widest = widestCategory(canvas, chart);
    const double axisWidth = chart::verticalAxisWidth(canvas, scale, chart.value.label);
    const double step =
        (rest.width - axisWidth) / static_cast<double>(std::max<std::size_t>(1, chart.categories.size()));
    const bool slanted = widest > step - 6;
    const double below = (slanted ? 18 + std::min(widest, 130.0) * 0.65 : 22) + (chart.categoryLabel.empty() ? 0 : 18);
    const Rect plot = rest.inset(axisWidth, 12, 0, below);
    chart::drawLeftAxis(canvas, plot, scale, chart.value.label);
    if (chart.categories.empty() || chart.series.empty()) {
        chart::drawNotice(canvas, plot, "no data");
    } else {
        drawBars(canvas, plot, chart, scale);
        drawCategories(canvas, plot, chart, slanted);
    }
    canvas.line({plot.x, plot.bottom()}, {plot.right(), plot.bottom()}, {.color = palette::kAxis, .width = 1});
    if (!chart.categoryLabel.empty())
        canvas.text({plot.x + plot.width / 2, rest.bottom() - 2}, chart.categoryLabel,
                    chart::aligned(chart::kLabel, TextAlign::Center));
}

Canvas renderGroupedBars(const GroupedBarChart& chart, double width, double height) {
    Canvas canvas(width, height);
    drawGroupedBars(canvas, canvas.bounds().inset(chart::kMargin, chart::kMargin, chart::kMargin, 18), chart);
    return canvas;
}

}  // namespace medseg
