#include "medseg/pipeline/stages_record.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <xxhash.h>
#include <nlohmann/json.hpp>

#include "medseg/base/files.h"

namespace medseg {
namespace {

nlohmann::json readRecord(const fs::path& file) {
    if (!fs::is_regular_file(file)) return nlohmann::json::object();
    auto record = nlohmann::json::parse(readTextFile(file), nullptr, false);
    return record.is_object() ? record : nlohmann::json::object();
}

std::string describeFile(const fs::path& file, const fs::path& root) {
    std::error_code missing;  // a file that vanishes meanwhile is described as empty
    const auto size = fs::file_size(file, missing);
    const auto time = fs::last_write_time(file, missing).time_since_epoch().count();
    return fmt::format("{} {} {}\n", file.lexically_relative(root).string(), missing ? 0 : size, missing ? 0 : time);
}

}  // namespace

std::string recordedFingerprint(const fs::path& file, const std::string& stage) {
    const auto record = readRecord(file);
    const auto found = record.find(stage);
    return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

void recordFingerprint(const fs::path& file, const std::string& stage, const std::string& fingerprint) {
    auto record = readRecord(file);
    record[stage] = fingerprint;
    writeTextFile(file, record.dump(2) + "\n");
}

std::string describeFiles(const fs::path& folder) {
    if (fs::is_regular_file(folder)) return describeFile(folder, folder.parent_path());
    std::vector<std::string> lines;
    if (fs::is_directory(folder))
        for (const auto& entry : fs::recursive_directory_iterator(folder))
            if (entry.is_regular_file()) lines.push_back(describeFile(entry.path(), folder));
    std::sort(lines.begin(), lines.end());
    std::string text;
    for (const auto& line : lines) text += line;
    return text;
}

std::string shortHash(const std::string& text) {
    return fmt::format("{:016x}", XXH64(text.data(), text.size(), 0));
}

}  // namespace medseg
