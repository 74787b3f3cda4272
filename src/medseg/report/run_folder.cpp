// Gathers a run's files for its report.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/base/progress.h"
#include "medseg/report/html_report.h"

namespace medseg {
namespace {

constexpr int kDeepestLevel = 4;
constexpr std::uintmax_t kLargestPicture = std::uintmax_t{24} << 20;
constexpr std::size_t kMostOverlays = 60;
constexpr std::size_t kMostCharts = 60;
constexpr const char* kCasesTitle = "Cases";

using Rows = std::vector<std::vector<std::string>>;

struct RunFiles {
    std::vector<fs::path> histories, tables, recipes, pictures;
};

RunFiles findFiles(const fs::path& folder) {
    RunFiles files;
    std::error_code code;
    auto entry = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied, code);
    if (code) throw DataError(folder.string(), "cannot list the folder: " + code.message());
    for (; entry != fs::recursive_directory_iterator(); entry.increment(code)) {
        if (code) throw DataError(folder.string(), "cannot list the folder: " + code.message());
        const std::string name = entry->path().filename().string();
        if (name.starts_with('.')) {
            entry.disable_recursion_pending();
            continue;
        }
        if (entry.depth() >= kDeepestLevel) entry.disable_recursion_pending();
        if (!entry->is_regular_file(code)) continue;
        if (name == "training_history.json") files.histories.push_back(entry->path());
        if (name.ends_with(".csv")) files.tables.push_back(entry->path());
        if (name.ends_with(".yaml") || name.ends_with(".yml")) files.recipes.push_back(entry->path());
        if (name.ends_with(".png") && name != "training_history.png" && entry->file_size(code) <= kLargestPicture)
            files.pictures.push_back(entry->path());
    }
    // Nearer to the top first, then by name, so that the report does not depend on the file system's order.
    const auto order = [](const fs::path& a, const fs::path& b) {
        const auto depth = [](const fs::path& p) { return std::distance(p.begin(), p.end()); };
        return std::pair(depth(a), a.string()) < std::pair(depth(b), b.string());
    };
    for (auto* list : {&files.histories, &files.tables, &files.recipes, &files.pictures})
        std::sort(list->begin(), list->end(), order);
    return files;
}

bool isNumberOrMissing(const std::string& text) {
    if (text.empty() || text == "n/a") return true;
    char* end = nullptr;
    std::strtod(text.c_str(), &end);
    return *end == '\0';
}

double numberOf(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return text.empty() || *end != '\0' ? std::numeric_limits<double>::quiet_NaN() : value;
}

int columnNamed(const std::vector<std::string>& names, const std::string& wanted) {
    const auto found = std::find(names.begin(), names.end(), wanted);
    return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

/// "per_structure" -> "Per structure".
std::string titleFrom(std::string stem) {
    std::replace(stem.begin(), stem.end(), '_', ' ');
    if (!stem.empty() && stem[0] >= 'a' && stem[0] <= 'z') stem[0] = static_cast<char>(stem[0] - 'a' + 'A');
    return stem;
}

bool isShareName(const std::string& name) {
    static const std::set<std::string> kShares{"dice",        "iou",         "nsd",  "precision", "recall",
                                               "sensitivity", "specificity", "mean", "median"};
    return kShares.contains(name) || name.starts_with("detection_rate") || name.starts_with("nsd");
}

ReportTable tableFrom(const Rows& csv, const std::string& title) {
    ReportTable table{.title = title, .note = "", .columns = {}, .rows = Rows(csv.begin() + 1, csv.end())};
    for (std::size_t i = 0; i < csv[0].size(); ++i) {
        ReportColumn column{.name = csv[0][i], .numeric = true};
        bool share = isShareName(column.name);
        for (const auto& row : table.rows) {
            column.numeric = column.numeric && isNumberOrMissing(row[i]);
            const double value = numberOf(row[i]);
            share = share && !(value < 0 || value > 1);
        }
        column.share = column.numeric && share;
        table.columns.push_back(column);
    }
    for (const char* name : {"dice", "mean"})
        if (table.sortColumn < 0 && columnNamed(csv[0], name) >= 0) table.sortColumn = columnNamed(csv[0], name);
    if (table.sortColumn >= 0)
        table.note = "Sorted by " + csv[0][static_cast<std::size_t>(table.sortColumn)] +
                     ", lowest first; a click on a heading sorts by it.";
    return table;
}

/// per_structure.csv has one row for each structure and metric; a reader compares structures: one row a structure, the
/// mean of each metric in a column of its own. Other tables stay as they are.
Rows metricsAsColumns(const Rows& csv) {
    const int structure = columnNamed(csv[0], "structure"), metric = columnNamed(csv[0], "metric"),
              mean = columnNamed(csv[0], "mean");
    if (structure < 0 || metric < 0 || mean < 0) return csv;
    Rows pivot{{"structure"}};
    std::map<std::string, std::size_t> rowOf, columnOf;
    for (std::size_t i = 1; i < csv.size(); ++i) {
        const auto& name = csv[i][static_cast<std::size_t>(structure)];
        const auto& metricName = csv[i][static_cast<std::size_t>(metric)];
        if (rowOf.emplace(name, pivot.size()).second) pivot.push_back({name});
        if (columnOf.emplace(metricName, pivot[0].size()).second) pivot[0].push_back(metricName);
        auto& row = pivot[rowOf[name]];
        row.resize(std::max(row.size(), columnOf[metricName] + 1));
        row[columnOf[metricName]] = csv[i][static_cast<std::size_t>(mean)];
    }
    for (auto& row : pivot) row.resize(pivot[0].size());
    return pivot;
}

/// One row a case: the means of the metric columns over its structures, and the structure with the lowest first metric.
std::optional<ReportTable> casesFrom(const ReportTable& perCase, const std::vector<std::string>& names) {
    const int caseColumn = columnNamed(names, "case"), structureColumn = columnNamed(names, "structure");
    if (caseColumn < 0 || structureColumn < 0) return std::nullopt;
    std::vector<std::size_t> metrics;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (perCase.columns[i].share) metrics.push_back(i);
    if (metrics.empty()) return std::nullopt;

    struct CaseSums {
        std::vector<double> sum, count;
        double lowest = std::numeric_limits<double>::infinity();
        std::string lowestName;
    };
    std::map<std::string, CaseSums> cases;
    for (const auto& row : perCase.rows) {
        CaseSums& sums = cases[row[static_cast<std::size_t>(caseColumn)]];
        sums.sum.resize(metrics.size());
        sums.count.resize(metrics.size());
        for (std::size_t m = 0; m < metrics.size(); ++m) {
            const double value = numberOf(row[metrics[m]]);
            if (!std::isfinite(value)) continue;
            sums.sum[m] += value;
            ++sums.count[m];
            if (m > 0 || value >= sums.lowest) continue;
            sums.lowest = value;
            sums.lowestName = row[static_cast<std::size_t>(structureColumn)];
        }
    }
    ReportTable table{.title = kCasesTitle,
                      .note = "Means over the structures of each case, worst case first.",
                      .columns = {{"case"}},
                      .rows = {},
                      .sortColumn = 1};
    for (const std::size_t metric : metrics) table.columns.push_back({"mean " + names[metric], true, true});
    table.columns.push_back({"structures", true});
    table.columns.push_back({"lowest structure"});
    for (const auto& [name, sums] : cases) {
        std::vector<std::string> row{name};
        for (std::size_t m = 0; m < metrics.size(); ++m)
            row.push_back(sums.count[m] > 0 ? fmt::format("{}", sums.sum[m] / sums.count[m]) : "");
        row.push_back(fmt::format("{:.0f}", sums.count[0]));
        row.push_back(sums.lowestName.empty() ? "" : fmt::format("{} ({:.3f})", sums.lowestName, sums.lowest));
        table.rows.push_back(std::move(row));
    }
    return table;
}

void addTables(RunReport& report, const std::vector<fs::path>& files) {
    std::vector<ReportTable> details;
    for (const fs::path& file : files) {
        Rows csv;
        try {
            csv = parseCsv(readTextFile(file), file.string());
        } catch (const DataError& error) {
            logWarning("{}: left out of the report", error.what());
        }
        if (csv.size() < 2) continue;
        csv = metricsAsColumns(csv);
        ReportTable table = tableFrom(csv, columnNamed(csv[0], "case") >= 0 && columnNamed(csv[0], "structure") >= 0
                                               ? "Cases and structures"
                                               : titleFrom(file.stem().string()));
        if (auto cases = casesFrom(table, csv[0])) {
            double sum = 0, count = 0;
            for (const auto& row : cases->rows)
                if (const double value = numberOf(row[1]); std::isfinite(value)) {
                    sum += value;
                    ++count;
                }
            report.facts.emplace_back("cases", fmt::format("{}", cases->rows.size()));
            if (count > 0)
                report.facts.emplace_back(cases->columns[1].name + " over cases", fmt::format("{:.3f}", sum / count));
            report.tables.push_back(std::move(*cases));
        }
        details.push_back(std::move(table));
    }
    std::move(details.begin(), details.end(), std::back_inserter(report.tables));
}

void addPictures(RunReport& report, const std::vector<fs::path>& files, const fs::path& folder) {
    for (const fs::path& file : files) {
        const MappedFile mapped(file);
        constexpr std::array<std::uint8_t, 4> kSignature{0x89, 'P', 'N', 'G'};
        const auto bytes = mapped.bytes();
        if (bytes.size() < 8 || !std::equal(kSignature.begin(), kSignature.end(), bytes.begin())) continue;
        const std::string name = file.stem().string();
        const std::string relative = file.lexically_relative(folder).string();
        const bool overlay = relative.find("overlay") != std::string::npos ||
                             relative.find("montage") != std::string::npos ||
                             relative.find("grid") != std::string::npos;
        auto& list = overlay ? report.overlays : report.charts;
        if (overlay || list.size() < kMostCharts)
            list.push_back({titleFrom(name), relative, {bytes.begin(), bytes.end()}});
    }
}

void addHistory(RunReport& report, const fs::path& file) {
    report.history = readTrainingHistory(file);
    double seconds = 0;
    for (const EpochRecord& record : report.history->epochs) seconds += record.seconds;
    report.facts.emplace_back("epochs", fmt::format("{}", report.history->epochs.size()));
    if (seconds > 0) report.facts.emplace_back("training time", formatDuration(seconds));
    if (const auto best = report.history->best(); best && !std::isnan(best->validationDice))
        report.facts.emplace_back(fmt::format("best validation Dice, epoch {}", best->epoch),
                                  fmt::format("{:.3f}", best->validationDice));
}

/// Overlays of the worst cases first, with the case's mean in the caption; pictures of no known case stay at the end.
void orderOverlays(RunReport& report) {
    const auto cases = std::find_if(report.tables.begin(), report.tables.end(),
                                    [](const ReportTable& table) { return table.title == kCasesTitle; });
    if (cases == report.tables.end()) return;
    const auto rowOf = [&](const ReportPicture& picture) -> const std::vector<std::string>* {
        const std::vector<std::string>* best = nullptr;  // the longest name that the picture's path contains
        for (const auto& row : cases->rows)
            if (picture.caption.find(row[0]) != std::string::npos &&
                (best == nullptr || row[0].size() > (*best)[0].size()))
                best = &row;
        return best;
    };
    std::vector<std::pair<double, ReportPicture>> ranked;
    for (ReportPicture& picture : report.overlays) {
        const auto* row = rowOf(picture);
        const double value = row != nullptr ? numberOf((*row)[1]) : std::numeric_limits<double>::quiet_NaN();
        if (std::isfinite(value)) picture.caption += fmt::format(", {} {:.3f}", cases->columns[1].name, value);
        ranked.emplace_back(std::isfinite(value) ? value : std::numeric_limits<double>::infinity(), std::move(picture));
    }
    std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 0; i < ranked.size(); ++i) report.overlays[i] = std::move(ranked[i].second);
    if (report.overlays.size() > kMostOverlays) report.overlays.resize(kMostOverlays);
}

}  // namespace

std::vector<std::vector<std::string>> parseCsv(const std::string& text, const std::string& source) {
    Rows rows;
    std::vector<std::string> row;
    std::string field;
    bool quoted = false, started = false;
    const auto endRow = [&] {
        row.push_back(std::move(field));
        field.clear();
        if (!rows.empty() && row.size() != rows[0].size())
            throw DataError(source, fmt::format("row {} has {} fields, the header {}", rows.size() + 1, row.size(),
                                                rows[0].size()));
        rows.push_back(std::move(row));
        row.clear();
        started = false;
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c != '"') {
                field += c;
            } else if (i + 1 < text.size() && text[i + 1] == '"') {
                field += '"';
                ++i;
            } else {
                quoted = false;
            }
            continue;
        }
        if (c == '"') {
            quoted = started = true;
        } else if (c == ',') {
            row.push_back(std::move(field));
            field.clear();
            started = true;
        } else if (c == '\n') {
            if (started || !row.empty()) endRow();
        } else if (c != '\r') {
            field += c;
            started = true;
        }
    }
    if (quoted) throw DataError(source, fmt::format("row {} has a quoted field without an end", rows.size() + 1));
    if (started || !row.empty()) endRow();
    return rows;
}

RunReport collectRunReport(const fs::path& folder) {
    if (!fs::is_directory(folder)) throw DataError(folder.string(), "no such folder: give the output folder of a run");
    const RunFiles files = findFiles(folder);
    if (files.histories.empty() && files.tables.empty() && files.pictures.empty())
        throw DataError(folder.string(),
                        "holds nothing to report: no training_history.json, no tables (*.csv), no pictures (*.png)");
    RunReport report;
    const fs::path absolute = fs::absolute(folder).lexically_normal();
    const std::string name =
        (absolute.has_filename() ? absolute.filename() : absolute.parent_path().filename()).string();
    report.title = "Run report: " + name;
    report.source = folder.string();
    if (!files.histories.empty()) addHistory(report, files.histories.front());
    addTables(report, files.tables);
    addPictures(report, files.pictures, folder);
    orderOverlays(report);
    if (!files.recipes.empty()) report.recipe = readTextFile(files.recipes.front());
    return report;
}

}  // namespace medseg
