#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "medseg/report/chart_frame.h"
#include "medseg/report/charts.h"

namespace medseg {
namespace {

const TextStyle kName{.size = 10, .color = palette::kInk, .align = TextAlign::Right};
const TextStyle kCount{.size = 9, .color = palette::kMutedInk};

/// The finite values, ascending.
std::vector<double> sortedFinite(std::vector<double> values) {
    std::erase_if(values, [](double value) { return !std::isfinite(value); });
    std::sort(values.begin(), values.end());
    return values;
}

double quantileOfSorted(const std::vector<double>& sorted, double q) {
    if (sorted.empty()) return std::numeric_limits<double>::quiet_NaN();
    const double place = q * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

/// Where values lie on the x axis of a plot.
struct Placement {
    const Rect& plot;
    const AxisScale& scale;

    double operator()(double value) const { return plot.x + scale.fraction(value) * plot.width; }
};

void drawPoints(Canvas& canvas, const std::vector<double>& sorted, const Placement& place, double middle, double spread,
                Color color) {
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        // Golden-ratio steps spread neighbours evenly without any randomness.
        const double offset = std::fmod(static_cast<double>(i + 1) * std::numbers::phi, 1.0) - 0.5;
        canvas.fillCircle({place(sorted[i]), middle + offset * spread}, 1.6, {color, 0.55});
    }
}

void drawBox(Canvas& canvas, const std::vector<double>& sorted, const Placement& place, double middle, double height,
             Color color, bool outliers) {
    const double lower = quantileOfSorted(sorted, 0.25), upper = quantileOfSorted(sorted, 0.75);
    const double reach = 1.5 * (upper - lower);
    const auto first = std::lower_bound(sorted.begin(), sorted.end(), lower - reach);
    const auto last = std::upper_bound(sorted.begin(), sorted.end(), upper + reach);
    const Stroke stroke{.color = color, .width = 1.25};
    const double boxLeft = place(lower), boxRight = place(upper);
    if (first != sorted.end() && last != sorted.begin()) {
        const double whiskerLeft = place(std::min(*first, lower)), whiskerRight = place(std::max(*(last - 1), upper));
        canvas.line({whiskerLeft, middle}, {boxLeft, middle}, stroke);
        canvas.line({boxRight, middle}, {whiskerRight, middle}, stroke);
        for (const double end : {whiskerLeft, whiskerRight})
            canvas.line({end, middle - height * 0.25}, {end, middle + height * 0.25}, stroke);
    }
    const Rect box{boxLeft, middle - height / 2, boxRight - boxLeft, height};
    canvas.fillRect(box, {color, 0.25}, 1.5);
    canvas.strokeRect(box, stroke, 1.5);
    const double median = place(quantileOfSorted(sorted, 0.5));
    canvas.line({median, middle - height / 2}, {median, middle + height / 2}, {.color = color, .width = 2.5});
    if (!outliers) return;
    for (auto value = sorted.begin(); value != first; ++value)
        canvas.fillCircle({place(*value), middle}, 1.8, {color, 0.8});
    for (auto value = last; value != sorted.end(); ++value)
        canvas.fillCircle({place(*value), middle}, 1.8, {color, 0.8});
}

void drawViolin(Canvas& canvas, const std::vector<double>& sorted, const Placement& place, double middle, double height,
                Color color) {
    const double count = static_cast<double>(sorted.size());
    double mean = 0, variance = 0;
    for (const double value : sorted) mean += value / count;
    for (const double value : sorted) variance += (value - mean) * (value - mean) / std::max(1.0, count - 1);
    const double span = place.scale.high() - place.scale.low();
    const double bandwidth = std::max(std::sqrt(variance) * std::pow(count, -0.2), 1e-3 * span);

    constexpr int kSteps = 160;
    const double from = std::max(place.scale.low(), sorted.front() - 2 * bandwidth);
    const double to = std::min(place.scale.high(), sorted.back() + 2 * bandwidth);
    std::vector<double> density(kSteps + 1, 0.0);
    for (int i = 0; i <= kSteps; ++i) {
        const double at = from + (to - from) * i / kSteps;
        for (const double value : sorted) {
            const double z = (at - value) / bandwidth;
            if (std::abs(z) < 6) density[i] += std::exp(-0.5 * z * z);
        }
    }
    const double highest = *std::max_element(density.begin(), density.end());
    std::vector<Point> outline;
    for (int i = 0; i <= kSteps; ++i)
        outline.push_back({place(from + (to - from) * i / kSteps), middle - density[i] / highest * height / 2});
    for (int i = kSteps; i >= 0; --i) outline.push_back({outline[i].x, 2 * middle - outline[i].y});
    canvas.fillPolygon(outline, {color, 0.28});
    outline.push_back(outline.front());
    canvas.polyline(outline, {.color = color, .width = 1});
    canvas.line({place(quantileOfSorted(sorted, 0.25)), middle}, {place(quantileOfSorted(sorted, 0.75)), middle},
                {.color = color, .width = 4});
    canvas.fillCircle({place(quantileOfSorted(sorted, 0.5)), middle}, 3, {palette::kPaper});
    canvas.strokeCircle({place(quantileOfSorted(sorted, 0.5)), middle}, 3, {.color = color, .width = 1.5});
}

}  // namespace

double quantile(std::vector<double> values, double q) {
    return quantileOfSorted(sortedFinite(std::move(values)), q);
}

Canvas renderDistributionChart(const DistributionChart& chart, double width) {
    const bool roomy = chart.groups.size() <= 30;
    const double rowHeight = chart.style == DistributionStyle::Violin ? (roomy ? 44 : 28) : (roomy ? 30 : 18);
    const double markHeight = rowHeight * (chart.style == DistributionStyle::Violin ? 0.86 : 0.5);
    const double head = (chart.title.empty() ? 0 : 20) + (chart.subtitle.empty() ? 0 : 17) + 6;
    const double rows = static_cast<double>(std::max<std::size_t>(chart.groups.size(), 2));
    Canvas canvas(width,
                  2 * chart::kMargin - 6 + head + rowHeight * rows + chart::horizontalAxisHeight(chart.value.label));
    const Rect rest = chart::drawTitle(
        canvas, canvas.bounds().inset(chart::kMargin, chart::kMargin, chart::kMargin, 18), chart.title, chart.subtitle);
    DataRange range;
    double nameWidth = 0, countWidth = 0;
    for (const Distribution& group : chart.groups) {
        range.add(group.values, chart.value.logarithmic);
        nameWidth = std::max(nameWidth, canvas.textWidth(group.name, kName));
        countWidth = std::max(countWidth, canvas.textWidth(fmt::format("n = {}", group.values.size()), kCount));
    }
    nameWidth = std::min(nameWidth, 0.4 * rest.width);
    const Rect plot{rest.x + nameWidth + 10, rest.y, rest.width - nameWidth - countWidth - 20, rowHeight * rows};
    const AxisScale scale(chart.value, range.low, range.high, chart::tickCount(plot.width, 56));
    chart::drawBottomAxis(canvas, plot, scale, chart.value.label, true);
    if (chart.groups.empty()) chart::drawNotice(canvas, plot, "no data");

    const Placement place{plot, scale};
    for (std::size_t i = 0; i < chart.groups.size(); ++i) {
        const Distribution& group = chart.groups[i];
        const double middle = plot.y + rowHeight * (static_cast<double>(i) + 0.5);
        canvas.text({plot.x - 10, middle + kName.size * 0.36}, canvas.fitText(group.name, nameWidth, kName), kName);
        std::vector<double> sorted = sortedFinite(group.values);
        if (chart.value.logarithmic) std::erase_if(sorted, [](double value) { return !(value > 0); });
        canvas.text({plot.right() + 8, middle + kCount.size * 0.36}, fmt::format("n = {}", sorted.size()), kCount);
        if (sorted.empty()) continue;
        const Color color = group.color.value_or(palette::kBlue);
        canvas.beginClip(plot.inset(-4, 0, -4, 0));
        if (chart.style == DistributionStyle::Violin)
            drawViolin(canvas, sorted, place, middle, markHeight, color);
        else
            drawBox(canvas, sorted, place, middle, markHeight, color, !chart.points);
        if (chart.points) drawPoints(canvas, sorted, place, middle, markHeight * 0.7, color);
        canvas.endClip();
    }
    return canvas;
}

}  // namespace medseg
