#include "medseg/nn/threshold_file.h"

#include <cmath>

#include <fmt/format.h>

#include "medseg/io/checkpoint_companion.h"

namespace medseg {
namespace {

const CompanionKind kKind{"thresholds.json", "medseg-thresholds-1", "thresholds of its structures",
                          "medseg checkpoint thresholds"};

nlohmann::ordered_json numberOrNull(double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

}  // namespace

std::filesystem::path thresholdFile(const std::filesystem::path& checkpoint) {
    return companionFile(checkpoint, kKind);
}

void writeThresholds(const std::filesystem::path& checkpoint, const LabelTable& labels,
                     const std::vector<StructureThreshold>& found) {
    nlohmann::ordered_json structures;
    for (std::size_t i = 0; i < found.size(); ++i)
        structures[labels.labels()[i].name] = {{"threshold", found[i].threshold},
                                               {"dice", numberOrNull(found[i].dice)},
                                               {"dice_at_default", numberOrNull(found[i].diceAtDefault)}};
    writeCompanion(checkpoint, kKind, {{"structures", structures}});
}

std::vector<double> readThresholds(const std::filesystem::path& checkpoint, const LabelTable& labels) {
    const std::vector<double> thresholds = readCompanion(checkpoint, kKind, [&](const nlohmann::json& content) {
        std::vector<double> values;
        for (const Label& label : labels.labels())
            values.push_back(content.at("structures").at(label.name).at("threshold").get<double>());
        return values;
    });
    for (const double threshold : thresholds)
        if (!(threshold > 0 && threshold < 1))
            refuseCompanion(checkpoint, kKind, fmt::format("holds {}, not between 0 and 1", threshold));
    return thresholds;
}

}  // namespace medseg
