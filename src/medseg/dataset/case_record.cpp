#include "medseg/dataset/case_record.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

/// Folders stand for the files in them, sorted.
std::vector<fs::path> filesOf(const PipelineCase& item) {
    std::vector<fs::path> files;
    for (const fs::path& input : item.inputs) {
        if (!fs::is_directory(input)) {
            files.push_back(input);
            continue;
        }
        const auto first = files.size();
        for (const auto& entry : fs::recursive_directory_iterator(input))
            if (entry.is_regular_file()) files.push_back(entry.path());
        std::sort(files.begin() + static_cast<std::ptrdiff_t>(first), files.end());
    }
    return files;
}

std::string hashOf(const fs::path& file) {
    const MappedFile mapped(file);
    return fmt::format("{:016x}", XXH3_64bits(mapped.bytes().data(), mapped.bytes().size()));
}

constexpr std::string_view kUnfinished = ".unfinished";

bool isHidden(const fs::path& path, std::string_view ending) {
    const std::string name = path.filename().string();
    return name.starts_with('.') && name.ends_with(ending);
}

}  // namespace

fs::path caseRecordPath(const fs::path& output, const std::string& id) {
    return output / "cases" / (id + ".json");
}
fs::path casePreviewPath(const fs::path& output, const std::string& id) {
    return output / "cases" / (id + ".npy");
}

Json caseRecordToJson(const CaseRecord& record) {
    return {{"id", record.id},          {"fingerprint", record.fingerprint},
            {"inputs", record.inputs},  {"parameters", record.parameters},
            {"files", record.files},    {"values", record.values},
            {"warning", record.warning}};
}

std::optional<CaseRecord> findPipelineRecord(const fs::path& output, const std::string& id) {
    std::error_code error;
    const fs::path path = caseRecordPath(output, id);
    if (!fs::exists(path, error)) return std::nullopt;
    try {
        const Json json = Json::parse(readTextFile(path));
        CaseRecord record{.id = json.at("id").get<std::string>(),
                          .fingerprint = json.at("fingerprint").get<std::string>(),
                          .inputs = json.at("inputs"),
                          .parameters = json.at("parameters"),
                          .files = json.at("files"),
                          .values = json.at("values"),
                          .warning = json.at("warning").get<std::string>()};
        for (const Json& file : record.files) {
            const fs::path name = file.at("path").get<std::string>();
            (void)file.at("bytes").get<std::uint64_t>();
            if (name.is_absolute() || std::find(name.begin(), name.end(), "..") != name.end()) return std::nullopt;
        }
        if (record.id != id || !record.inputs.is_array()) return std::nullopt;
        return record;
    } catch (const std::exception&) {
        return std::nullopt;  // damaged: the case is done again
    }
}

void writePipelineRecord(const fs::path& output, const CaseRecord& record) {
    writeTextFile(caseRecordPath(output, record.id), caseRecordToJson(record).dump(1) + "\n");
}

Json describeInputs(const PipelineCase& item, const CaseRecord* known) {
    Json inputs = Json::array();
    for (const fs::path& file : filesOf(item)) {
        struct stat info {};
        if (::stat(file.c_str(), &info) != 0) throw DataError(file.string(), "does not exist");
        Json input{{"path", file.string()},
                   {"bytes", info.st_size},
                   {"modified", fmt::format("{}.{:09}", info.st_mtim.tv_sec, info.st_mtim.tv_nsec)}};
        if (known != nullptr)
            for (const Json& old : known->inputs)
                if (old.value("path", "") == input["path"] && old.value("bytes", -1) == input["bytes"] &&
                    old.value("modified", "") == input["modified"] && old.contains("xxh3"))
                    input["xxh3"] = old["xxh3"];
        if (!input.contains("xxh3")) input["xxh3"] = hashOf(file);
        inputs.push_back(std::move(input));
    }
    return inputs;
}

std::string caseFingerprint(const CaseForm& form, const PipelineCase& item, const Json& inputs) {
    Json text{
        {"form", form.name}, {"version", form.version}, {"parameters", form.parameters}, {"case", item.parameters}};
    for (const Json& input : inputs)
        text["inputs"].push_back(
            {fs::path(input["path"].get<std::string>()).filename().string(), input["bytes"], input["xxh3"]});
    const std::string bytes = text.dump();
    return fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

bool filesUnchanged(const fs::path& output, const CaseRecord& record) {
    return std::all_of(record.files.begin(), record.files.end(), [&](const Json& file) {
        std::error_code error;
        const auto size = fs::file_size(output / file["path"].get<std::string>(), error);
        return !error && size == file["bytes"].get<std::uint64_t>();
    });
}

void removeCaseFiles(const fs::path& output, const CaseRecord& record) {
    std::error_code ignored;
    fs::remove(caseRecordPath(output, record.id), ignored);
    fs::remove(casePreviewPath(output, record.id), ignored);
    for (const Json& file : record.files) fs::remove(output / file["path"].get<std::string>(), ignored);
}

CaseFolder::CaseFolder(const fs::path& output, const std::string& id)
    : output_(output), path_(output / fmt::format(".{}{}", id, kUnfinished)) {
    createDirectories(path_);
}

CaseFolder::~CaseFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

Json CaseFolder::listFiles() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(path_))
        if (entry.is_regular_file()) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    Json list = Json::array();
    for (const fs::path& file : files)
        list.push_back({{"path", file.lexically_relative(path_).string()}, {"bytes", fs::file_size(file)}});
    return list;
}

void CaseFolder::moveFiles(const Json& files) const {
    for (const Json& file : files) {
        const fs::path name = file["path"].get<std::string>();
        createDirectories((output_ / name).parent_path());
        std::error_code error;
        fs::rename(path_ / name, output_ / name, error);
        if (error) throw WorkError((output_ / name).string(), "cannot be moved into place: " + error.message());
    }
}

void removeUnfinished(const fs::path& output) {
    std::error_code error;
    std::vector<fs::path> left;
    for (const auto& entry : fs::directory_iterator(output, error))
        if (isHidden(entry.path(), kUnfinished) || isHidden(entry.path(), ".tmp")) left.push_back(entry.path());
    for (const auto& entry : fs::directory_iterator(output / "cases", error))
        if (isHidden(entry.path(), ".tmp")) left.push_back(entry.path());
    for (const fs::path& path : left) fs::remove_all(path, error);
}

}  // namespace medseg
