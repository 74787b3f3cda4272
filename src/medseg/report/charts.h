// Charts: plain structs in, a drawing out. draw…() puts a chart into a rectangle of a canvas (so that several share a
// sheet), render…() makes a sheet of its own, ready for writePng().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "medseg/report/axis.h"
#include "medseg/report/canvas.h"

namespace medseg {

/// One line. x and y have the same length; a NaN leaves a gap.
struct LineSeries {
    std::string name{};
    std::vector<double> x{};
    std::vector<double> y{};
    Color color = palette::kBlue;
    double width = 2;  ///< points
    bool dashed = false;
    bool markers = false;  ///< a dot at every point, where there is room
    bool steps = false;    ///< a value holds until the next one, e.g. a learning rate
    bool rightAxis = false;
};

/// A vertical line with a caption at its top, e.g. the best epoch.
struct LineMarker {
    double x = 0;
    std::string label{};
    Color color = palette::kMutedInk;
};

struct LineChart {
    std::string title{};
    std::string subtitle{};
    Axis x = Axis();
    Axis y = Axis();
    Axis right = Axis();  ///< used when a series asks for it
    std::vector<LineSeries> series{};
    std::vector<LineMarker> markers{};
};

void drawLineChart(Canvas& canvas, const Rect& area, const LineChart& chart);
Canvas renderLineChart(const LineChart& chart, double width = 760, double height = 440);

/// One horizontal bar.
struct Bar {
    std::string name{};
    double value = 0;                     ///< NaN: no bar, the label says "n/a"
    std::optional<double> low{}, high{};  ///< whisker, e.g. the quartiles over cases
    std::optional<Color> color{};         ///< instead of the chart's
    std::string label{};                  ///< instead of the value's number
};

/// Bars from the left, one row each, in the given order: a ranking. More than 60 rows are set in two columns.
struct BarChart {
    std::string title{};
    std::string subtitle{};
    Axis value = Axis();
    std::vector<Bar> bars{};
    Color color = palette::kBlue;
    int decimals = 3;                   ///< of the value labels
    std::optional<double> reference{};  ///< a dashed vertical line, e.g. the mean
    std::string referenceLabel{};
    int columns = 0;  ///< 0: one up to 60 bars, else two
};

/// The sheet grows with the number of bars.
Canvas renderBarChart(const BarChart& chart, double width = 760);

/// The values of one group, e.g. the Dice of one structure over all cases. NaN values are left out.
struct Distribution {
    std::string name{};
    std::vector<double> values{};
    std::optional<Color> color{};
};

/// Box: quartiles (linear interpolation between order statistics, as numpy), median, whiskers to the furthest value
/// within 1.5 interquartile ranges of the box, values beyond as dots. Violin: Gaussian kernel density (Scott's
/// bandwidth) with median and quartiles.
enum class DistributionStyle { Box, Violin };

/// One horizontal row a group, the values along the x axis.
struct DistributionChart {
    std::string title{};
    std::string subtitle{};
    Axis value = Axis();
    std::vector<Distribution> groups{};
    DistributionStyle style = DistributionStyle::Box;
    bool points = true;  ///< also every value as a small dot, spread a little so that they do not hide each other
};

Canvas renderDistributionChart(const DistributionChart& chart, double width = 760);

/// Counts of values in equal bins between the ends of the value axis.
struct HistogramChart {
    std::string title{};
    std::string subtitle{};
    Axis value = Axis();
    std::string countLabel = "count";
    std::vector<Distribution> groups{};  ///< drawn over each other, translucent
    int bins = 20;
    bool showMean = true;  ///< a dashed line at each group's mean
};

void drawHistogram(Canvas& canvas, const Rect& area, const HistogramChart& chart);
Canvas renderHistogram(const HistogramChart& chart, double width = 760, double height = 440);

/// For every category one bar a series, side by side, upright.
struct GroupedBarChart {
    struct Series {
        std::string name{};
        std::vector<double> values{};  ///< one a category; NaN: no bar
        std::optional<Color> color{};
    };
    std::string title{};
    std::string subtitle{};
    Axis value = Axis();
    std::string categoryLabel{};
    std::vector<std::string> categories{};
    std::vector<Series> series{};
    bool valueLabels = true;  ///< numbers above the bars, where there is room
    int decimals = 2;
};

void drawGroupedBars(Canvas& canvas, const Rect& area, const GroupedBarChart& chart);
Canvas renderGroupedBars(const GroupedBarChart& chart, double width = 760, double height = 440);

/// Quantile q (0..1) with linear interpolation between order statistics (numpy's default); NaN values are left out, NaN
/// if none is left.
double quantile(std::vector<double> values, double q);

}  // namespace medseg
