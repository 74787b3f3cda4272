#include "medseg/report/html.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/report/canvas.h"
#include "medseg/report/raster.h"

namespace medseg::html {

std::string escape(std::string_view text) {
    std::string escaped;
    for (const char c : validUtf8(text)) switch (c) {
            case '&':
                escaped += "&amp;";
                break;
            case '<':
                escaped += "&lt;";
                break;
            case '>':
                escaped += "&gt;";
                break;
            case '"':
                escaped += "&quot;";
                break;
            case '\'':
                escaped += "&#39;";
                break;
            default:
                escaped += c;
        }
    return escaped;
}

std::string pngDataUrl(std::span<const std::uint8_t> png) {
    return "data:image/png;base64," + encodeBase64(png);
}

std::string scriptJson(const nlohmann::ordered_json& value) {
    const std::string text = value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    std::string safe;
    safe.reserve(text.size());
    for (const char c : text) c == '<' ? safe += "\\u003c" : safe += c;  // '<' only occurs inside strings
    return safe;
}

std::string page(std::string_view title, std::string_view style, std::string_view body, std::string_view script) {
    constexpr std::string_view kPolicy =
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
    return fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n<title>{}</title>\n<style>{}</style>\n</head>\n"
        "<body>\n{}\n<script>{}</script>\n</body>\n</html>\n",
        kPolicy, escape(title), style, body, script);
}

}  // namespace medseg::html
