#include "medseg/engine/quantization_file.h"

#include <cmath>

#include <fmt/format.h>
#include <xxhash.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

constexpr const char* kFormat = "medseg-quantization-1";

std::string hashOf(const fs::path& file) {
    const MappedFile mapped(file);
    return fmt::format("{:016x}", XXH3_64bits(mapped.bytes().data(), mapped.bytes().size()));
}

}  // namespace

fs::path quantizationFile(const fs::path& checkpoint) {
    return checkpoint.parent_path() / "quantization.json";
}

void writeQuantization(const fs::path& checkpoint, const ActivationRanges& ranges) {
    nlohmann::ordered_json file{{"format", kFormat},
                                {"checkpoint", checkpoint.filename().string()},
                                {"checkpoint_hash", hashOf(checkpoint)},
                                {"ranges", ranges}};
    writeTextFile(quantizationFile(checkpoint), file.dump(2) + "\n");
}

ActivationRanges readQuantization(const fs::path& checkpoint) {
    const fs::path path = quantizationFile(checkpoint);
    const std::string advice = fmt::format("run `medseg checkpoint quantize {}`", checkpoint.parent_path().string());
    if (!fs::exists(path))
        throw UsageError(fmt::format("{}: this model has no 8-bit calibration: {}", checkpoint.string(), advice));
    ActivationRanges ranges;
    std::string hash;
    try {
        const auto file = nlohmann::json::parse(readTextFile(path));
        if (file.at("format") != kFormat) throw DataError(path.string(), "is no calibration of medseg: " + advice);
        hash = file.at("checkpoint_hash").get<std::string>();
        for (const auto& [name, range] : file.at("ranges").items()) ranges[name] = range.get<float>();
    } catch (const nlohmann::json::exception&) {
        throw DataError(path.string(), "the calibration is damaged: " + advice);
    }
    for (const auto& [name, range] : ranges)
        if (!std::isfinite(range) || range < 0)
            throw DataError(path.string(), fmt::format("the range of \"{}\" is {}: {}", name, range, advice));
    if (hash != hashOf(checkpoint))
        throw DataError(path.string(),
                        fmt::format("was made for another {}: {} again", checkpoint.filename().string(), advice));
    return ranges;
}

}  // namespace medseg
