#include "medseg/report/canvas.h"

#include <array>
#include <cmath>
#include <numbers>

#include <cairo.h>
#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr double kLargestSide = 32000;  // cairo's image surfaces end at 32767 pixels
constexpr const char* kFontFamily = "DejaVu Sans";

/// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none (RFC 3629, without surrogates).
std::size_t utf8SequenceLength(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                               : lead >= 0xE0 && lead <= 0xEF ? 3
                               : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                              : 0;
    if (length == 0 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xC0) != 0x80) return 0;
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;
    if (lead == 0xED && byte(1) > 0x9F) return 0;
    if (lead == 0xF0 && byte(1) < 0x90) return 0;
    if (lead == 0xF4 && byte(1) > 0x8F) return 0;
    return length;
}

}  // namespace

namespace palette {
Color series(std::size_t index) {
    static constexpr std::array<Color, 6> kSeries{kBlue, kVermilion, kGreen, kPurple, kOrange, kSky};
    return kSeries[index % kSeries.size()];
}
}  // namespace palette

std::string validUtf8(std::string_view text) {
    std::string valid;
    while (!text.empty()) {
        const std::size_t length = utf8SequenceLength(text);
        // A control character has no shape; a tab or newline in a name must not move what follows.
        if (length == 0 || static_cast<unsigned char>(text[0]) < 0x20)
            valid.push_back(length == 0 ? '?' : ' ');
        else
            valid.append(text.substr(0, length));
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return valid;
}

void Canvas::ContextDeleter::operator()(_cairo* context) const {
    cairo_destroy(context);
}

Canvas::Canvas(double width, double height, Color background, double scale)
    : width_(width), height_(height), scale_(scale) {
    const double pixelWidth = std::round(width * scale), pixelHeight = std::round(height * scale);
    if (!(pixelWidth >= 1 && pixelHeight >= 1 && pixelWidth <= kLargestSide && pixelHeight <= kLargestSide))
        throw WorkError(fmt::format("a picture of {:.0f} x {:.0f} pixels cannot be drawn: the largest side is {:.0f}",
                                    pixelWidth, pixelHeight, kLargestSide));
    cairo_surface_t* surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(pixelWidth), static_cast<int>(pixelHeight));
    context_.reset(cairo_create(surface));
    cairo_surface_destroy(surface);  // the context holds it
    cairo_t* cr = context_.get();
    if (cairo_status(cr) != CAIRO_STATUS_SUCCESS)
        throw WorkError(fmt::format("cannot draw a picture of {:.0f} x {:.0f} pixels: {}", pixelWidth, pixelHeight,
                                    cairo_status_to_string(cairo_status(cr))));
    cairo_scale(cr, scale, scale);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_BUTT);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    cairo_font_options_t* options = cairo_font_options_create();
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    cairo_set_font_options(cr, options);
    cairo_font_options_destroy(options);
    setSource(background, 1);
    cairo_paint(cr);
}

Canvas::~Canvas() = default;
Canvas::Canvas(Canvas&&) noexcept = default;
Canvas& Canvas::operator=(Canvas&&) noexcept = default;

void Canvas::setSource(const Color& color, double alpha) {
    cairo_set_source_rgba(context_.get(), color[0] / 255.0, color[1] / 255.0, color[2] / 255.0, alpha);
}

void Canvas::strokePath(const Stroke& stroke) {
    cairo_t* cr = context_.get();
    setSource(stroke.color, stroke.alpha);
    cairo_set_line_width(cr, stroke.width);
    const std::array<double, 2> dashes{4 * std::max(1.0, stroke.width), 3 * std::max(1.0, stroke.width)};
    cairo_set_dash(cr, dashes.data(), stroke.dashed ? static_cast<int>(dashes.size()) : 0, 0);
    cairo_stroke(cr);
}

void Canvas::line(Point from, Point to, const Stroke& stroke) {
    cairo_move_to(context_.get(), from.x, from.y);
    cairo_line_to(context_.get(), to.x, to.y);
    strokePath(stroke);
}

void Canvas::polyline(std::span<const Point> points, const Stroke& stroke) {
    bool penDown = false;
    for (const Point& point : points) {
        if (!std::isfinite(point.x) || !std::isfinite(point.y)) {
            penDown = false;
            continue;
        }
        penDown ? cairo_line_to(context_.get(), point.x, point.y) : cairo_move_to(context_.get(), point.x, point.y);
        penDown = true;
    }
    strokePath(stroke);
}

void Canvas::fillPolygon(std::span<const Point> points, const Paint& paint) {
    cairo_new_path(context_.get());
    for (const Point& point : points) cairo_line_to(context_.get(), point.x, point.y);
    cairo_close_path(context_.get());
    setSource(paint.color, paint.alpha);
    cairo_fill(context_.get());
}

void Canvas::addRectPath(const Rect& rect, double cornerRadius) {
    cairo_t* cr = context_.get();
    const double radius = std::min({cornerRadius, rect.width / 2, rect.height / 2});
    if (radius <= 0) {
        cairo_rectangle(cr, rect.x, rect.y, rect.width, rect.height);
        return;
    }
    constexpr double kQuarter = std::numbers::pi / 2;
    cairo_new_sub_path(cr);
    cairo_arc(cr, rect.right() - radius, rect.y + radius, radius, -kQuarter, 0);
    cairo_arc(cr, rect.right() - radius, rect.bottom() - radius, radius, 0, kQuarter);
    cairo_arc(cr, rect.x + radius, rect.bottom() - radius, radius, kQuarter, 2 * kQuarter);
    cairo_arc(cr, rect.x + radius, rect.y + radius, radius, 2 * kQuarter, 3 * kQuarter);
    cairo_close_path(cr);
}

void Canvas::fillRect(const Rect& rect, const Paint& paint, double cornerRadius) {
    addRectPath(rect, cornerRadius);
    setSource(paint.color, paint.alpha);
    cairo_fill(context_.get());
}

void Canvas::strokeRect(const Rect& rect, const Stroke& stroke, double cornerRadius) {
    addRectPath(rect, cornerRadius);
    strokePath(stroke);
}

void Canvas::fillCircle(Point center, double radius, const Paint& paint) {
    cairo_new_path(context_.get());
    cairo_arc(context_.get(), center.x, center.y, radius, 0, 2 * std::numbers::pi);
    setSource(paint.color, paint.alpha);
    cairo_fill(context_.get());
}

void Canvas::strokeCircle(Point center, double radius, const Stroke& stroke) {
    cairo_new_path(context_.get());
    cairo_arc(context_.get(), center.x, center.y, radius, 0, 2 * std::numbers::pi);
    strokePath(stroke);
}

void Canvas::selectFont(const TextStyle& style) const {
    cairo_select_font_face(context_.get(), kFontFamily, CAIRO_FONT_SLANT_NORMAL,
                           style.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(context_.get(), style.size);
}

double Canvas::textWidth(std::string_view text, const TextStyle& style) const {
    selectFont(style);
    cairo_text_extents_t extents{};
    cairo_text_extents(context_.get(), validUtf8(text).c_str(), &extents);
    return extents.x_advance;
}

std::string Canvas::fitText(std::string_view text, double width, const TextStyle& style) const {
    std::string fitted = validUtf8(text);
    if (textWidth(fitted, style) <= width) return fitted;
    while (!fitted.empty()) {
        while (!fitted.empty() && (static_cast<unsigned char>(fitted.back()) & 0xC0) == 0x80) fitted.pop_back();
        if (!fitted.empty()) fitted.pop_back();
        if (textWidth(fitted + "…", style) <= width) return fitted + "…";
    }
    return fitted;
}

void Canvas::text(Point anchor, std::string_view text, const TextStyle& style) {
    cairo_t* cr = context_.get();
    const double width = style.align == TextAlign::Left ? 0 : textWidth(text, style);
    selectFont(style);
    cairo_save(cr);
    cairo_translate(cr, anchor.x, anchor.y);
    cairo_rotate(cr, style.angle * std::numbers::pi / 180);
    const double start = style.align == TextAlign::Center ? -width / 2 : style.align == TextAlign::Right ? -width : 0;
    cairo_move_to(cr, start, 0);
    const std::string valid = validUtf8(text);
    if (style.halo) {
        cairo_text_path(cr, valid.c_str());
        setSource(*style.halo, 0.9);
        cairo_set_line_width(cr, 3);
        cairo_set_dash(cr, nullptr, 0, 0);
        cairo_stroke(cr);
        cairo_move_to(cr, start, 0);
    }
    setSource(style.color, 1);
    cairo_show_text(cr, valid.c_str());
    cairo_restore(cr);
    cairo_new_path(cr);
}

void Canvas::image(const Rect& area, const RgbImage& picture, bool smooth) {
    if (picture.width < 1 || picture.height < 1) return;
    if (static_cast<double>(picture.width) > kLargestSide || static_cast<double>(picture.height) > kLargestSide)
        throw WorkError(fmt::format("a picture of {} x {} pixels cannot be drawn: the largest side is {:.0f}",
                                    picture.width, picture.height, kLargestSide));
    cairo_surface_t* surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(picture.width),
                                                          static_cast<int>(picture.height));
    if (cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(surface);
        throw WorkError("cannot draw a picture: out of memory");
    }
    cairo_surface_flush(surface);
    unsigned char* rows = cairo_image_surface_get_data(surface);
    const int stride = cairo_image_surface_get_stride(surface);
    const std::uint8_t* source = picture.pixels.data();
    for (std::int64_t y = 0; y < picture.height; ++y) {
        auto* row = reinterpret_cast<std::uint32_t*>(rows + y * stride);
        for (std::int64_t x = 0; x < picture.width; ++x, source += 3)
            row[x] = std::uint32_t{source[0]} << 16 | std::uint32_t{source[1]} << 8 | source[2];
    }
    cairo_surface_mark_dirty(surface);
    cairo_t* cr = context_.get();
    cairo_save(cr);
    cairo_rectangle(cr, area.x, area.y, area.width, area.height);
    cairo_clip(cr);
    cairo_translate(cr, area.x, area.y);
    cairo_scale(cr, area.width / static_cast<double>(picture.width), area.height / static_cast<double>(picture.height));
    cairo_set_source_surface(cr, surface, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), smooth ? CAIRO_FILTER_GOOD : CAIRO_FILTER_NEAREST);
    cairo_pattern_set_extend(cairo_get_source(cr), CAIRO_EXTEND_PAD);
    cairo_paint(cr);
    cairo_restore(cr);
    cairo_surface_destroy(surface);
}

void Canvas::beginClip(const Rect& area) {
    cairo_save(context_.get());
    cairo_rectangle(context_.get(), area.x, area.y, area.width, area.height);
    cairo_clip(context_.get());
}

void Canvas::endClip() {
    cairo_restore(context_.get());
}

RgbImage Canvas::pixels() const {
    if (cairo_status(context_.get()) != CAIRO_STATUS_SUCCESS)
        throw WorkError(fmt::format("cannot draw a picture: {}", cairo_status_to_string(cairo_status(context_.get()))));
    cairo_surface_t* surface = cairo_get_target(context_.get());
    cairo_surface_flush(surface);
    RgbImage image(cairo_image_surface_get_width(surface), cairo_image_surface_get_height(surface));
    const unsigned char* rows = cairo_image_surface_get_data(surface);
    const int stride = cairo_image_surface_get_stride(surface);
    std::uint8_t* out = image.pixels.data();
    for (std::int64_t y = 0; y < image.height; ++y) {
        const auto* row = reinterpret_cast<const std::uint32_t*>(rows + y * stride);
        for (std::int64_t x = 0; x < image.width; ++x) {
            *out++ = static_cast<std::uint8_t>(row[x] >> 16);
            *out++ = static_cast<std::uint8_t>(row[x] >> 8);
            *out++ = static_cast<std::uint8_t>(row[x]);
        }
    }
    return image;
}

}  // namespace medseg
