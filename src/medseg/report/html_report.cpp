#include "medseg/report/html_report.h"

#include <cmath>
#include <cstdlib>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/files.h"
#include "medseg/base/version.h"
#include "medseg/report/history_plot.h"
#include "medseg/report/html.h"
#include "medseg/report/html_report_assets.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;
using html::escape;

std::string now() {
    const std::time_t seconds = std::time(nullptr);
    std::tm local{};
    localtime_r(&seconds, &local);
    return fmt::format("{:%Y-%m-%d %H:%M}", local);
}

/// Number, or null for a cell without one.
Json numericCell(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0') return nullptr;
    if (std::isnan(value)) return nullptr;
    if (std::isinf(value)) return value > 0 ? "∞" : "-∞";
    return value;
}

Json tableData(const ReportTable& table) {
    Json data{{"columns", Json::array()},
              {"rows", Json::array()},
              {"sort", table.sortColumn},
              {"descending", table.descending}};
    for (const ReportColumn& column : table.columns)
        data["columns"].push_back({{"name", column.name}, {"numeric", column.numeric}, {"share", column.share}});
    for (const auto& cells : table.rows) {
        Json row = Json::array();
        for (std::size_t i = 0; i < table.columns.size(); ++i) {
            const std::string text = i < cells.size() ? cells[i] : "";
            row.push_back(table.columns[i].numeric ? numericCell(text) : Json(text));
        }
        data["rows"].push_back(std::move(row));
    }
    return data;
}

std::string tableSection(const ReportTable& table, std::size_t index) {
    return fmt::format(
        "<section data-table id=\"table-{}\"><h2>{}</h2>{}\n<div class=\"bar\"><input type=\"search\" "
        "placeholder=\"Filter\" "
        "aria-label=\"Filter {}\"><span></span></div>\n<div "
        "class=\"scroll\"><table><thead><tr></tr></thead><tbody></tbody></table>"
        "</div><button hidden></button>\n<script type=\"application/json\">{}</script></section>\n",
        index, escape(table.title),
        table.note.empty() ? "" : fmt::format("<p class=\"note\">{}</p>", escape(table.note)), escape(table.title),
        html::scriptJson(tableData(table)));
}

std::string figure(const ReportPicture& picture) {
    const std::string caption = picture.caption.empty() ? "" : fmt::format("<span>{}</span>", escape(picture.caption));
    return fmt::format("<figure><figcaption>{}{}</figcaption><img alt=\"{}\" src=\"{}\"></figure>\n",
                       escape(picture.title), caption, escape(picture.title), html::pngDataUrl(picture.png));
}

std::string pictureSection(const char* id, const char* title, const char* kind,
                           const std::vector<ReportPicture>& pictures) {
    if (pictures.empty()) return "";
    std::string section = fmt::format("<section id=\"{}\"><h2>{}</h2><div class=\"{}\">\n", id, title, kind);
    for (const ReportPicture& picture : pictures) section += figure(picture);
    return section + "</div></section>\n";
}

std::string header(const RunReport& report) {
    std::string links;
    if (report.history) links += "<a href=\"#training\">Training</a>";
    for (std::size_t i = 0; i < report.tables.size(); ++i)
        links += fmt::format("<a href=\"#table-{}\">{}</a>", i, escape(report.tables[i].title));
    if (!report.charts.empty()) links += "<a href=\"#charts\">Charts</a>";
    if (!report.overlays.empty()) links += "<a href=\"#overlays\">Overlays</a>";
    if (!report.recipe.empty()) links += "<a href=\"#recipe\">Recipe</a>";
    return fmt::format(
        "<header><div><h1>{}</h1><div class=\"meta\">{}{} · medseg {}</div><nav>{}</nav></div></header>\n",
        escape(report.title), report.source.empty() ? "" : escape(report.source) + " · ",
        escape(report.date.empty() ? now() : report.date), version(), links);
}

std::string facts(const RunReport& report) {
    if (report.facts.empty()) return "";
    std::string cards = "<div class=\"facts\">";
    for (const auto& [name, value] : report.facts)
        cards += fmt::format("<div class=\"fact\"><b>{}</b><span>{}</span></div>", escape(value), escape(name));
    return cards + "</div>\n";
}

}  // namespace

std::string renderHtmlReport(const RunReport& report) {
    std::string body = header(report) + "<main>\n" + facts(report);
    if (report.history) {
        const ReportPicture curves{"Training history", "", renderTrainingHistory(*report.history).png()};
        body += "<section id=\"training\"><h2>Training</h2>" + figure(curves) + "</section>\n";
    }
    for (std::size_t i = 0; i < report.tables.size(); ++i) body += tableSection(report.tables[i], i);
    body += pictureSection("charts", "Charts", "charts", report.charts);
    body += pictureSection("overlays", "Overlays", "overlays", report.overlays);
    if (!report.recipe.empty())
        body += fmt::format(
            "<section id=\"recipe\"><h2>Recipe</h2><details><summary>Resolved "
            "recipe</summary><pre>{}</pre></details></section>\n",
            [&] {
                std::string text;  // escape() flattens line breaks
                for (std::size_t start = 0; start < report.recipe.size();) {
                    const std::size_t end = std::min(report.recipe.find('\n', start), report.recipe.size());
                    text += escape(report.recipe.substr(start, end - start)) + "\n";
                    start = end + 1;
                }
                return text;
            }());
    body +=
        "<footer>For research; not a medical device. This file is complete and works without a "
        "network.</footer>\n</main>\n"
        "<dialog></dialog>";
    return html::page(report.title, html::kReportStyle, body, html::kReportScript);
}

void writeHtmlReport(const std::filesystem::path& path, const RunReport& report) {
    writeTextFile(path, renderHtmlReport(report));
}

}  // namespace medseg
