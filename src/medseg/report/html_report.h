// The report of a run as one HTML file that needs no network: curves, tables that sort, pictures.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "medseg/report/training_history.h"

namespace medseg {

struct ReportColumn {
    std::string name;
    bool numeric = false;
    bool share = false;  ///< values of 0..1 (Dice, IoU, rates): drawn with a bar behind the number
};

/// Cells are text; those of numeric columns are parsed as numbers ("", "nan" and "n/a" show as a dash and sort last).
struct ReportTable {
    std::string title;
    std::string note;
    std::vector<ReportColumn> columns;
    std::vector<std::vector<std::string>> rows;
    int sortColumn = -1;  ///< sorted by it at first; -1: rows stay in their order
    bool descending = false;
};

struct ReportPicture {
    std::string title;
    std::string caption;
    std::vector<std::uint8_t> png;
};

struct RunReport {
    std::string title = "medseg run";
    std::string source;  ///< folder or recipe the run belongs to
    std::string date;    ///< of the report; empty: now, local time
    /// Key numbers at the top: name and value ("mean Dice", "0.912").
    std::vector<std::pair<std::string, std::string>> facts;
    std::optional<TrainingHistory> history;
    std::vector<ReportTable> tables;
    std::vector<ReportPicture> charts;
    std::vector<ReportPicture> overlays;
    std::string recipe;  ///< resolved recipe, shown folded
};

/// The whole page. The program's version is added.
std::string renderHtmlReport(const RunReport& report);

/// Writes atomically. Throws WorkError.
void writeHtmlReport(const std::filesystem::path& path, const RunReport& report);

/// Gathers what a run left in `folder` and its subfolders (four levels): training_history.json, tables *.csv, the
/// resolved recipe *.yaml and pictures *.png. A table with the columns `case` and `structure` also gives a table of
/// cases, worst first. Throws DataError if the folder is missing or holds nothing of this.
RunReport collectRunReport(const std::filesystem::path& folder);

/// Rows of a CSV text (RFC 4180: quoted fields, doubled quotes, CRLF or LF). The first row is the header. Throws
/// DataError naming `source` for an unfinished quote or rows of different length.
std::vector<std::vector<std::string>> parseCsv(const std::string& text, const std::string& source);

}  // namespace medseg
