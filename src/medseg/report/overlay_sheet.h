// What overlays and montages share: pictures on paper with orientation letters, scale bar and legend.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "medseg/report/canvas.h"
#include "medseg/report/overlay.h"

namespace medseg::sheet {

inline constexpr double kMargin = 24;
inline constexpr double kPixelsPerPoint = 2;

/// Size in points of a picture of `widthMm` x `heightMm` whose longer side is `longest` points, at whole pixels.
struct PictureSize {
    double width = 0;
    double height = 0;
    std::int64_t pixelWidth = 0;
    std::int64_t pixelHeight = 0;
};
PictureSize fitPicture(double widthMm, double heightMm, double longest);

/// "axial slice 42 of 0..121, z = -31.5 mm".
std::string describeSlice(const SliceView2D& view, std::int64_t slice);
/// "voxels 1.5 × 1.5 × 1.5 mm, window -160 … 240".
std::string describeVoxels(const OverlayCase& overlay, const Window& window);

/// White letters inside the edges of a picture: left, right, top, bottom.
void drawOrientation(Canvas& canvas, const Rect& picture, const std::array<char, 4>& letters);
/// A bar of a round length in the lower left corner.
void drawScaleBar(Canvas& canvas, const Rect& picture, double millimetresPerPoint);

/// The largest items first, equal names merged, at most kLegendItems; the rest becomes the `hidden` count.
struct Legend {
    std::vector<LegendItem> items;
    std::size_t hidden = 0;
};
Legend mergeLegends(std::span<const OverlayRow> rows);
double legendHeight(const Canvas& canvas, double width, const Legend& legend);
void drawLegend(Canvas& canvas, Point topLeft, double width, const Legend& legend);

/// One colour a structure name, the same on reference and prediction: that of the reference's table, else the
/// prediction's. Tables that use a colour twice (files often carry palettes of a dozen colours) are painted with
/// labelColor() instead.
class StructureColors {
  public:
    explicit StructureColors(const OverlayCase& overlay);
    Color of(const LabelTable& table, int id) const;

  private:
    std::map<std::string, Color> colors_;
};

/// Legend items of the structures in a labelled picture.
void collectLegend(const Plane2D<int>& labels, const LabelTable& table, const StructureColors& colors,
                   std::vector<LegendItem>& legend);

}  // namespace medseg::sheet
