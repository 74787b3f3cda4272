#include "medseg/io/checkpoint_companion.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

std::string hashOf(const fs::path& file) {
    const MappedFile mapped(file);
    return fmt::format("{:016x}", XXH3_64bits(mapped.bytes().data(), mapped.bytes().size()));
}

std::string adviceFor(const fs::path& checkpoint, const CompanionKind& kind) {
    return fmt::format("run `{} {}`", kind.command, checkpoint.parent_path().string());
}

}  // namespace

fs::path companionFile(const fs::path& checkpoint, const CompanionKind& kind) {
    return checkpoint.parent_path() / kind.fileName;
}

void writeCompanion(const fs::path& checkpoint, const CompanionKind& kind, const nlohmann::ordered_json& content) {
    nlohmann::ordered_json file{{"format", kind.format},
                                {"checkpoint", checkpoint.filename().string()},
                                {"checkpoint_hash", hashOf(checkpoint)}};
    file.update(content);
    writeTextFile(companionFile(checkpoint, kind), file.dump(2) + "\n");
}

void refuseCompanion(const fs::path& checkpoint, const CompanionKind& kind, const std::string& fault) {
    throw DataError(companionFile(checkpoint, kind).string(),
                    fmt::format("the {} {}: {}", kind.what, fault, adviceFor(checkpoint, kind)));
}

nlohmann::json loadCompanion(const fs::path& checkpoint, const CompanionKind& kind) {
    const fs::path path = companionFile(checkpoint, kind);
    if (!fs::exists(path))
        throw UsageError(
            fmt::format("{}: this model has no {}: {}", checkpoint.string(), kind.what, adviceFor(checkpoint, kind)));
    nlohmann::json content;
    std::string hash;
    try {
        content = nlohmann::json::parse(readTextFile(path));
        if (content.at("format") != kind.format) refuseCompanion(checkpoint, kind, "has another format");
        hash = content.at("checkpoint_hash").get<std::string>();
    } catch (const nlohmann::json::exception&) {
        refuseCompanion(checkpoint, kind, "is damaged");
    }
    if (hash != hashOf(checkpoint))
        refuseCompanion(checkpoint, kind, fmt::format("was made for another {}", checkpoint.filename().string()));
    return content;
}

}  // namespace medseg
