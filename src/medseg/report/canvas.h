// A sheet to draw on: lines, shapes, text and pictures, then a PNG. All charts and overlays are drawn on one.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "medseg/report/raster.h"

struct _cairo;

namespace medseg {

/// Position in points; x to the right, y down, (0, 0) at the top left.
struct Point {
    double x = 0;
    double y = 0;
};

struct Rect {
    double x = 0;
    double y = 0;
    double width = 0;
    double height = 0;

    double right() const { return x + width; }
    double bottom() const { return y + height; }
    /// The rectangle without a border of these widths.
    Rect inset(double left, double top, double right, double bottom) const {
        return {x + left, y + top, width - left - right, height - top - bottom};
    }
};

/// A colour and its opacity (0..1).
struct Paint {
    Color color{0, 0, 0};
    double alpha = 1;
};

struct Stroke {
    Color color{0, 0, 0};
    double width = 1;  ///< points
    double alpha = 1;
    bool dashed = false;
};

enum class TextAlign { Left, Center, Right };

struct TextStyle {
    double size = 10;  ///< points
    Color color{45, 52, 64};
    bool bold = false;
    TextAlign align = TextAlign::Left;
    double angle = 0;             ///< degrees clockwise, about the anchor
    std::optional<Color> halo{};  ///< a rim in this colour keeps the text legible on lines and pictures
};

/// Colours that the charts share. The series colours can be told apart with the common colour-vision deficiencies
/// (Okabe and Ito 2008).
namespace palette {
inline constexpr Color kPaper{255, 255, 255};
inline constexpr Color kInk{31, 41, 55};
inline constexpr Color kMutedInk{107, 114, 128};
inline constexpr Color kGrid{229, 231, 235};
inline constexpr Color kAxis{156, 163, 175};
inline constexpr Color kBlue{0, 114, 178};
inline constexpr Color kVermilion{213, 94, 0};
inline constexpr Color kGreen{0, 158, 115};
inline constexpr Color kPurple{204, 121, 167};
inline constexpr Color kOrange{230, 159, 0};
inline constexpr Color kSky{86, 180, 233};
/// Colour of series `index`; repeats after six.
Color series(std::size_t index);
}  // namespace palette

class Canvas {
  public:
    /// Size in points; each point becomes `scale` x `scale` pixels. Throws WorkError if a side is below one pixel or
    /// above 32000 pixels.
    Canvas(double width, double height, Color background = palette::kPaper, double scale = 2);
    ~Canvas();
    Canvas(Canvas&&) noexcept;
    Canvas& operator=(Canvas&&) noexcept;

    double width() const { return width_; }
    double height() const { return height_; }
    double scale() const { return scale_; }
    Rect bounds() const { return {0, 0, width_, height_}; }

    void line(Point from, Point to, const Stroke& stroke);
    /// Points with a NaN coordinate leave a gap.
    void polyline(std::span<const Point> points, const Stroke& stroke);
    void fillPolygon(std::span<const Point> points, const Paint& paint);
    void fillRect(const Rect& rect, const Paint& paint, double cornerRadius = 0);
    void strokeRect(const Rect& rect, const Stroke& stroke, double cornerRadius = 0);
    void fillCircle(Point center, double radius, const Paint& paint);
    void strokeCircle(Point center, double radius, const Stroke& stroke);

    /// Draws one line of text with its baseline at `anchor`. Bytes that are not UTF-8 are shown as '?'.
    void text(Point anchor, std::string_view text, const TextStyle& style);
    /// Width of the text, points.
    double textWidth(std::string_view text, const TextStyle& style) const;
    /// The text, cut with an ellipsis where it is wider than `width` points.
    std::string fitText(std::string_view text, double width, const TextStyle& style) const;

    /// Draws the picture stretched over `area`; `smooth` interpolates, otherwise pixels stay sharp squares.
    void image(const Rect& area, const RgbImage& picture, bool smooth);

    /// Limits drawing to `area` until endClip().
    void beginClip(const Rect& area);
    void endClip();

    /// Copy of the pixels, width*scale x height*scale. Throws WorkError if the drawing failed (out of memory).
    RgbImage pixels() const;
    /// Encodes the pixels as PNG.
    std::vector<std::uint8_t> png() const { return encodePng(pixels(), scale_); }
    /// Writes the PNG atomically. Throws WorkError.
    void writePng(const std::filesystem::path& path) const { medseg::writePng(path, pixels(), scale_); }

  private:
    struct ContextDeleter {
        void operator()(_cairo* context) const;
    };
    void setSource(const Color& color, double alpha);
    void strokePath(const Stroke& stroke);
    void addRectPath(const Rect& rect, double cornerRadius);
    void selectFont(const TextStyle& style) const;

    double width_;
    double height_;
    double scale_;
    std::unique_ptr<_cairo, ContextDeleter> context_;
};

/// `text` with every byte sequence that is not UTF-8 replaced by '?'.
std::string validUtf8(std::string_view text);

}  // namespace medseg
