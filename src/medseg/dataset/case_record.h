// Records of finished cases: what they were made from, what was written, and whether both are unchanged.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "medseg/dataset/case_pipeline.h"

namespace medseg {

std::filesystem::path caseRecordPath(const std::filesystem::path& output, const std::string& id);
std::filesystem::path casePreviewPath(const std::filesystem::path& output, const std::string& id);

/// The record on disk, if there is one that can be read.
std::optional<CaseRecord> findPipelineRecord(const std::filesystem::path& output, const std::string& id);
void writePipelineRecord(const std::filesystem::path& output, const CaseRecord& record);
nlohmann::ordered_json caseRecordToJson(const CaseRecord& record);

/// Path, size, time and XXH3 of every input file (folders: of all files in them, by name). The hash of a file whose
/// size and time `known` lists is taken from there. Throws DataError when a file is missing or unreadable.
nlohmann::ordered_json describeInputs(const PipelineCase& item, const CaseRecord* known);

/// Hash of form, parameters and contents; names of folders and times do not matter.
std::string caseFingerprint(const CaseForm& form, const PipelineCase& item, const nlohmann::ordered_json& inputs);

/// True if all files of the record are there with their recorded sizes.
bool filesUnchanged(const std::filesystem::path& output, const CaseRecord& record);

/// Removes record, preview and files of a case that is about to be done again, the record first.
void removeCaseFiles(const std::filesystem::path& output, const CaseRecord& record);

/// An empty hidden folder inside `output` for the files of one case, removed with whatever is in it by the destructor.
class CaseFolder {
  public:
    CaseFolder(const std::filesystem::path& output, const std::string& id);
    ~CaseFolder();
    CaseFolder(const CaseFolder&) = delete;
    CaseFolder& operator=(const CaseFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    /// Array of {path relative to the folder, bytes} of all files in it, sorted.
    nlohmann::ordered_json listFiles() const;
    /// Moves the listed files to the same places below `output`. Throws WorkError.
    void moveFiles(const nlohmann::ordered_json& files) const;

  private:
    std::filesystem::path output_;
    std::filesystem::path path_;
};

/// Removes what killed processes left in `output`: folders of unfinished cases and temporary files of records.
void removeUnfinished(const std::filesystem::path& output);

}  // namespace medseg
