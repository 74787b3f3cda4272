#include "medseg/io/label_xml.h"

#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>

namespace medseg {
namespace {

constexpr std::string_view kCdataStart = "<![CDATA[", kCdataEnd = "]]>";
constexpr int kMaxId = 65535;

/// The text between `start` and `end` behind `from`; moves `from` behind it.
std::optional<std::string_view> between(std::string_view text, std::size_t& from, std::string_view start,
                                        std::string_view end) {
    const std::size_t begin = text.find(start, from);
    if (begin == std::string_view::npos) return std::nullopt;
    const std::size_t stop = text.find(end, begin + start.size());
    if (stop == std::string_view::npos) return std::nullopt;
    from = stop + end.size();
    return text.substr(begin + start.size(), stop - begin - start.size());
}

std::optional<double> attribute(std::string_view tag, std::string_view name) {
    std::size_t from = 0;
    const auto text = between(tag, from, fmt::format(" {}=\"", name), "\"");
    if (!text) return std::nullopt;
    double value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::string decoded(std::string_view text) {
    constexpr std::pair<std::string_view, char> kEntities[] = {
        {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&amp;", '&'}};
    std::string result;
    while (!text.empty()) {
        std::size_t length = 1;
        char c = text[0];
        for (const auto& [entity, meaning] : kEntities)
            if (text.starts_with(entity)) {
                length = entity.size();
                c = meaning;
            }
        result += c;
        text.remove_prefix(length);
    }
    return result;
}

std::string nameIn(std::string_view content) {
    const std::size_t first = content.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    content = content.substr(first, content.find_last_not_of(" \t\r\n") - first + 1);
    if (content.starts_with(kCdataStart) && content.ends_with(kCdataEnd))
        return std::string(content.substr(kCdataStart.size(), content.size() - kCdataStart.size() - kCdataEnd.size()));
    return decoded(content);
}

Color colorIn(std::string_view tag, int id) {
    Color color{};
    constexpr const char* kChannels[] = {"Red", "Green", "Blue"};
    for (std::size_t channel = 0; channel < 3; ++channel) {
        const auto value = attribute(tag, kChannels[channel]);
        if (!value) return labelColor(id);
        color[channel] = static_cast<std::uint8_t>(std::lround(255 * std::clamp(*value, 0.0, 1.0)));
    }
    return color;
}

}  // namespace

LabelTable parseLabelXml(std::string_view xml) {
    LabelTable table;
    std::size_t from = 0;
    const auto body = between(xml, from, "<LabelTable", "</LabelTable>");
    if (!body) return table;
    for (std::size_t at = 0;;) {
        const auto tag = between(*body, at, "<Label", ">");
        if (!tag) return table;
        const std::size_t end = body->find("</Label>", at);
        if (end == std::string_view::npos) return table;
        const std::string name = nameIn(body->substr(at, end - at));
        at = end;
        const auto key = attribute(*tag, "Key");
        if (!key || *key < 1 || *key > kMaxId || *key != std::floor(*key) || name.empty()) continue;
        const int id = static_cast<int>(*key);
        if (table.findId(id) == nullptr && table.findName(name) == nullptr) table.add({id, name, colorIn(*tag, id)});
    }
}

std::string labelXml(const LabelTable& table) {
    std::string xml =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?> <CaretExtension>  <VolumeInformation Index=\"0\">   <LabelTable>\n";
    for (const Label& label : table.labels()) {
        std::string name = label.name;
        // The one sequence that CDATA cannot hold.
        for (std::size_t at = name.find(kCdataEnd); at != std::string::npos; at = name.find(kCdataEnd))
            name.erase(at, 1);
        xml += fmt::format(
            "<Label Key=\"{}\" Red=\"{:.6g}\" Green=\"{:.6g}\" Blue=\"{:.6g}\" Alpha=\"1\">{}{}{}</Label>\n", label.id,
            label.color[0] / 255.0, label.color[1] / 255.0, label.color[2] / 255.0, kCdataStart, name, kCdataEnd);
    }
    return xml +
           "  </LabelTable>  <StudyMetaDataLinkSet>  </StudyMetaDataLinkSet>  "
           "<VolumeType><![CDATA[Label]]></VolumeType>   "
           "</VolumeInformation></CaretExtension>\n";
}

}  // namespace medseg
