// What all charts share: title block, plot frame with grid and ticks, legend.
#pragma once

#include <string>
#include <vector>

#include "medseg/report/axis.h"
#include "medseg/report/canvas.h"

namespace medseg::chart {

inline const TextStyle kTitle{.size = 14, .color = palette::kInk, .bold = true};
inline const TextStyle kSubtitle{.size = 10.5, .color = palette::kMutedInk};
inline const TextStyle kLabel{.size = 10, .color = palette::kMutedInk};
inline const TextStyle kTickLabel{.size = 9.5, .color = palette::kMutedInk};
inline const TextStyle kLegend{.size = 10, .color = palette::kInk};

/// White space round a sheet that holds one chart.
inline constexpr double kMargin = 24;

struct LegendEntry {
    enum class Mark { Line, DashedLine, Box };
    std::string name;
    Color color;
    Mark mark = Mark::Line;
};

TextStyle aligned(TextStyle style, TextAlign align);

/// Draws title and subtitle at the top of `area`; returns the area below them.
Rect drawTitle(Canvas& canvas, const Rect& area, const std::string& title, const std::string& subtitle);

/// Draws the entries in rows at the top of `area`; returns the area below them. Nothing for fewer than `minimum`
/// entries.
Rect drawLegend(Canvas& canvas, const Rect& area, const std::vector<LegendEntry>& entries, std::size_t minimum = 2);

/// Width that the tick labels of a vertical axis need, with its rotated label.
double verticalAxisWidth(const Canvas& canvas, const AxisScale& scale, const std::string& label);

/// Height that the tick labels and the label of a horizontal axis need.
double horizontalAxisHeight(const std::string& label);

/// Grid lines, tick labels and label. The left axis draws its grid across `plot`, the right one only labels.
void drawLeftAxis(Canvas& canvas, const Rect& plot, const AxisScale& scale, const std::string& label);
void drawRightAxis(Canvas& canvas, const Rect& plot, const AxisScale& scale, const std::string& label, Color color);
/// `grid` draws vertical grid lines.
void drawBottomAxis(Canvas& canvas, const Rect& plot, const AxisScale& scale, const std::string& label, bool grid);

/// How many ticks fit into a length of `points`, given the room one label takes.
int tickCount(double points, double room);

/// "1 of 2" notes and "no data" are centred in the plot in muted ink.
void drawNotice(Canvas& canvas, const Rect& plot, const std::string& text);

}  // namespace medseg::chart
