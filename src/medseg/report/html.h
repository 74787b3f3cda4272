// Pieces of self-contained HTML pages: escaping, embedded data and the pages' frame. Pages load nothing from anywhere:
// their content security policy forbids it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace medseg::html {

/// Text for element content and attribute values: & < > " ' are escaped, bytes that are not UTF-8 become '?'.
std::string escape(std::string_view text);

/// "data:image/png;base64,…".
std::string pngDataUrl(std::span<const std::uint8_t> png);

/// JSON that can stand inside a <script> element: no "</" and no "<!--" can appear in it.
std::string scriptJson(const nlohmann::ordered_json& value);

/// A whole page. `style` and `script` are trusted program text, `body` is already escaped.
std::string page(std::string_view title, std::string_view style, std::string_view body, std::string_view script);

}  // namespace medseg::html
