// The engine under every form of preparation: many cases side by side, bounded by memory, resumable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace medseg {

struct CaseFailure {
    std::string id;
    std::string message;
};

/// Calls body(i) for i in [0, count) on up to threadCount() threads, in ascending order of start. A DataError stays
/// with its case: its message comes back at index i (empty: all is well). Any other error, and Ctrl-C, stops all cases
/// that have not started and is rethrown. Shows progress as "label: n of count cases".
std::vector<std::string> forEachCase(const std::string& label, std::size_t count,
                                     const std::function<void(std::size_t)>& body);

/// One case, as a form of preparation sees it.
struct PipelineCase {
    std::string id;                                                ///< unique in the run; becomes a file name
    std::vector<std::filesystem::path> inputs;                     ///< files, or folders with files (DICOM)
    nlohmann::ordered_json parameters = nlohmann::json::object();  ///< what this case alone depends on
};

/// A few slices of a case for the contact sheet, all of one size.
struct CasePreview {
    std::int64_t width = 0;
    std::int64_t height = 0;
    std::vector<std::uint8_t> gray;    ///< slice by slice, row 0 first
    std::vector<std::uint8_t> labels;  ///< same layout; 0 background

    std::int64_t tiles() const {
        return width * height > 0 ? static_cast<std::int64_t>(gray.size()) / (width * height) : 0;
    }
};

/// What a form hands back for a case.
struct CaseSummary {
    nlohmann::ordered_json values = nlohmann::json::object();  ///< for the manifest: slices kept, voxels per label ...
    std::string warning;                                       ///< shown now and on every later run; empty: none
    CasePreview preview;                                       ///< may be empty
};

/// A form of preparation: from the inputs of one case to files below the output folder.
struct CaseForm {
    std::string name;                                              ///< "medsam"
    int version = 1;                                               ///< raise it when the same inputs give other files
    nlohmann::ordered_json parameters = nlohmann::json::object();  ///< everything the result depends on
    /// Bytes that process() needs at most; reads headers only.
    std::function<std::uint64_t(const PipelineCase&)> memory;
    /// Writes the files of one case below `folder`, an empty folder of its own; the engine then moves them to the same
    /// places below the output folder. Called from several threads. Throws DataError when the case is damaged.
    std::function<CaseSummary(const PipelineCase&, const std::filesystem::path& folder)> process;
};

/// A finished case as it is recorded on disk.
struct CaseRecord {
    std::string id;
    std::string fingerprint;            ///< of form, parameters and contents of the inputs
    nlohmann::ordered_json inputs;      ///< array of {path, bytes, modified, xxh3}
    nlohmann::ordered_json parameters;  ///< of the case
    nlohmann::ordered_json files;       ///< array of {path, bytes}
    nlohmann::ordered_json values;      ///< CaseSummary::values
    std::string warning;
};

struct CasePipelineResult {
    int prepared = 0;                   ///< cases worked on in this run
    int reused = 0;                     ///< cases found finished and unchanged
    std::vector<CaseRecord> records;    ///< finished cases, in the order given
    std::vector<CaseFailure> failures;  ///< damaged cases, in the order given; nothing of them is left in the output
};

/// Prepares all cases into `output`: as many at once as there are threads and as the free memory holds. A case that
/// cases/ID.json records is kept if form, parameters and the contents of its inputs are the same and its files are
/// there with their sizes; else its old files are removed and it is done again. The files of a case are made in a
/// hidden folder, then recorded, then moved to their places, so that whatever ends the process, a later run removes or
/// replaces everything unfinished. manifest.json, written at the end, lists all records and failures. Throws UsageError
/// for repeated or unusable ids, WorkError when the output cannot be written or when another process is preparing into
/// the same folder, InterruptedError on Ctrl-C; failures of single cases are in the result.
CasePipelineResult runCasePipeline(const CaseForm& form, const std::vector<PipelineCase>& cases,
                                   const std::filesystem::path& output);

/// The preview that the form gave for a finished case; empty when there was none.
CasePreview readCasePreview(const std::filesystem::path& output, const std::string& id);

}  // namespace medseg
