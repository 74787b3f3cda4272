#include "medseg/report/heat_overlay.h"

#include <algorithm>
#include <cmath>

#include "medseg/report/panel.h"

namespace medseg {
namespace {

struct HeatColor {
    Color color;
    double alpha;
};

/// Dark red, red, yellow, white; opacity grows with the heat, so that cold places show the image.
HeatColor heatColor(double heat) {
    const auto channel = [&](double start) {
        return static_cast<std::uint8_t>(std::lround(255 * std::clamp((heat - start) * 3, 0.0, 1.0)));
    };
    const auto red = static_cast<std::uint8_t>(std::lround(255 * std::clamp(0.4 + 1.8 * heat, 0.0, 1.0)));
    return {{red, channel(1.0 / 3), channel(2.0 / 3)}, std::clamp(1.4 * heat, 0.0, 0.75)};
}

}  // namespace

Canvas renderHeat(const OverlayCase& overlay, const Volume<float>& heat, const std::string& caption,
                  const OverlayOptions& options, const std::string& title) {
    requireSameGeometry(overlay.image->geometry(), overlay.imageFile, heat.geometry(), "heat map");
    OverlayRow row = renderOverlayRow(overlay, options);
    const SliceView2D view(heat.geometry(), options.plane);
    OverlayPanel panel{caption, row.panels.front().picture};
    RgbImage& picture = panel.picture;
    // The heat as grey values at the picture's size: 0 is black, 1 is white.
    const RgbImage gray = paintGray(extractPlane(heat, view, options.slice.value_or(view.slices() / 2)),
                                    Window::fromRange(0, 1), picture.width, picture.height);
    for (std::int64_t y = 0; y < picture.height; ++y)
        for (std::int64_t x = 0; x < picture.width; ++x) {
            const HeatColor hot = heatColor(gray.at(x, y)[0] / 255.0);
            picture.blend(x, y, hot.color, hot.alpha);
        }
    row.panels.push_back(std::move(panel));
    return composeOverlays(std::span(&row, 1), title);
}

}  // namespace medseg
