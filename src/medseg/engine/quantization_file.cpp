#include "medseg/engine/quantization_file.h"

#include <cmath>

#include <fmt/format.h>

#include "medseg/io/checkpoint_companion.h"

namespace medseg {
namespace {

const CompanionKind kKind{"quantization.json", "medseg-quantization-1", "8-bit calibration",
                          "medseg checkpoint quantize"};

}  // namespace

std::filesystem::path quantizationFile(const std::filesystem::path& checkpoint) {
    return companionFile(checkpoint, kKind);
}

void writeQuantization(const std::filesystem::path& checkpoint, const ActivationRanges& ranges) {
    writeCompanion(checkpoint, kKind, {{"ranges", ranges}});
}

ActivationRanges readQuantization(const std::filesystem::path& checkpoint) {
    const ActivationRanges ranges = readCompanion(checkpoint, kKind, [](const nlohmann::json& content) {
        ActivationRanges found;
        for (const auto& [name, range] : content.at("ranges").items()) found[name] = range.get<float>();
        return found;
    });
    for (const auto& [name, range] : ranges)
        if (!std::isfinite(range) || range < 0)
            refuseCompanion(checkpoint, kKind, fmt::format("gives {} as the range of \"{}\"", range, name));
    return ranges;
}

}  // namespace medseg
