// Small JSON files that belong to one state of a checkpoint and are kept beside it: calibrations, thresholds.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace medseg {

/// What sort of companion it is: all that its messages need.
struct CompanionKind {
    std::string fileName;  ///< "quantization.json"
    std::string format;    ///< first entry of the file: "medseg-quantization-1"
    std::string what;      ///< "8-bit calibration"
    std::string command;   ///< that makes one, without the model: "medseg checkpoint quantize"
};

/// The companion's path: in the folder of `checkpoint`.
std::filesystem::path companionFile(const std::filesystem::path& checkpoint, const CompanionKind& kind);

/// Writes `content` with the checkpoint's name and hash. Throws WorkError.
void writeCompanion(const std::filesystem::path& checkpoint, const CompanionKind& kind,
                    const nlohmann::ordered_json& content);

/// Reads the companion and hands its JSON to `parse`, whose JSON exceptions mean a damaged file. Throws UsageError when
/// there is none, DataError when it is damaged or belongs to another state of the checkpoint; all name the command.
template <typename Parse>
auto readCompanion(const std::filesystem::path& checkpoint, const CompanionKind& kind, Parse&& parse);

/// See readCompanion().
nlohmann::json loadCompanion(const std::filesystem::path& checkpoint, const CompanionKind& kind);
/// Throws DataError: the companion of `checkpoint` is wrong in the way that `fault` says.
[[noreturn]] void refuseCompanion(const std::filesystem::path& checkpoint, const CompanionKind& kind,
                                  const std::string& fault);

template <typename Parse>
auto readCompanion(const std::filesystem::path& checkpoint, const CompanionKind& kind, Parse&& parse) {
    const nlohmann::json content = loadCompanion(checkpoint, kind);
    try {
        return parse(content);
    } catch (const nlohmann::json::exception&) {
        refuseCompanion(checkpoint, kind, "is damaged");
    }
}

}  // namespace medseg
