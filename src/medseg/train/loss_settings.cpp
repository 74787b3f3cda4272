#include "medseg/train/loss_settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/logging.h"

namespace medseg {
namespace {

std::vector<std::string> namesOf(const LabelTable& labels) {
    std::vector<std::string> names;
    for (const Label& label : labels.labels()) names.push_back(label.name);
    return names;
}

[[noreturn]] void failUnknownStructure(const std::string& key, const std::string& name, const LabelTable& labels) {
    const std::string near = nearestWord(name, namesOf(labels));
    throw UsageError(fmt::format("{}: there is no structure \"{}\"{}", key, name,
                                 near.empty() ? std::string() : fmt::format(": did you mean \"{}\"?", near)));
}

std::int64_t idOf(const std::string& key, const std::string& name, const LabelTable& labels) {
    for (const Label& label : labels.labels())
        if (label.name == name) return label.id;
    failUnknownStructure(key, name, labels);
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

void scaleToMeanOne(std::vector<double>& weights, const std::vector<std::size_t>& present) {
    double sum = 0;
    for (const std::size_t id : present) sum += weights[id];
    for (const std::size_t id : present) weights[id] *= static_cast<double>(present.size()) / sum;
}

/// Weight of each id from `first` on.
std::vector<double> frequencyWeights(const std::string& kind, const StructureStatistics& statistics,
                                     std::size_t first) {
    std::vector<double> weights(statistics.pixels.size(), 1.0);
    std::vector<std::size_t> present;
    std::vector<double> shares;
    for (std::size_t id = first; id < weights.size(); ++id) {
        if (statistics.pixels[id] <= 0) continue;
        present.push_back(id);
        shares.push_back(statistics.pixels[id] / statistics.pixelCount);
    }
    if (kind == "none" || present.empty()) return weights;
    const double middle = median(shares);
    for (std::size_t i = 0; i < present.size(); ++i) {
        double& weight = weights[present[i]];
        if (kind == "inverse") {
            constexpr double kMost = 20;
            weight = std::clamp(middle / shares[i], 1 / kMost, kMost);
        } else if (kind == "log") {
            weight = 1 / std::log(1.02 + shares[i]);
        } else {
            constexpr double kBeta = 0.999;
            weight = (1 - kBeta) / (1 - std::pow(kBeta, statistics.slices[present[i]]));
        }
    }
    if (kind != "inverse") scaleToMeanOne(weights, present);
    return weights;
}

/// "liver=2" -> name and factor.
std::pair<std::string, double> parseFactor(const std::string& text) {
    const auto equals = text.rfind('=');
    double factor = -1;
    if (equals != std::string::npos && equals > 0) {
        const char* end = text.data() + text.size();
        const auto result = std::from_chars(text.data() + equals + 1, end, factor);
        if (result.ec != std::errc() || result.ptr != end) factor = -1;
    }
    if (!(factor >= 0 && factor <= 1e6))
        throw UsageError(
            fmt::format("train.structure_weights: \"{}\" is not of the form name=factor, factor 0 to 1e6", text));
    return {text.substr(0, equals), factor};
}

}  // namespace

StructureStatistics structureStatistics(const SliceCache& cache, const std::vector<std::int64_t>& slices) {
    StructureStatistics statistics;
    statistics.pixels.assign(cache.labels().size() + 1, 0.0);
    statistics.slices = statistics.pixels;
    statistics.sliceCount = static_cast<double>(slices.size());
    statistics.pixelCount = statistics.sliceCount * static_cast<double>(cache.format().pixelCount());
    for (const std::int64_t slice : slices) {
        const auto counts = cache.labelCounts(slice);
        for (std::size_t id = 0; id < statistics.pixels.size(); ++id) {
            statistics.pixels[id] += counts[id];
            statistics.slices[id] += counts[id] > 0 ? 1 : 0;
        }
    }
    return statistics;
}

void warnOfAbsentStructures(const StructureStatistics& statistics, const LabelTable& labels) {
    std::vector<std::string> absent;
    for (const Label& label : labels.labels())
        if (statistics.slices[static_cast<std::size_t>(label.id)] == 0) absent.push_back(label.name);
    if (absent.empty()) return;
    constexpr std::size_t kShown = 8;
    const std::size_t count = absent.size();
    absent.resize(std::min(count, kShown));
    logWarning("{} of {} structures occur in no training slice and will not be learned: {}{}", count, labels.size(),
               fmt::join(absent, ", "), count > kShown ? ", ..." : "");
}

std::vector<double> channelFrequencies(const StructureStatistics& statistics, OutputKind output) {
    std::vector<double> shares = statistics.pixels;
    for (double& count : shares) count = (count + 1) / (statistics.pixelCount + static_cast<double>(shares.size()));
    if (output == OutputKind::Sigmoid) shares.erase(shares.begin());
    return shares;
}

SegmentationLossOptions lossOptions(const Recipe& recipe, const LabelTable& labels) {
    const TrainSettings& train = recipe.train;
    SegmentationLossOptions options;
    options.output = recipe.model.output == "softmax" ? OutputKind::Softmax : OutputKind::Sigmoid;
    const bool softmax = options.output == OutputKind::Softmax;
    const bool bce = train.loss.starts_with("bce"), ce = train.loss.starts_with("ce");
    if ((bce && softmax) || (ce && !softmax))
        throw UsageError(fmt::format("train.loss {} does not go with model.output {}: use {}", train.loss,
                                     recipe.model.output,
                                     softmax ? "ce, ce_dice, focal or dice" : "bce, bce_dice, focal or dice"));
    const bool focal = train.loss.starts_with("focal");
    const bool tversky = train.loss.ends_with("tversky"), dice = train.loss.ends_with("dice");
    options.crossEntropyWeight = bce || ce || focal ? 1 : 0;
    options.diceWeight = dice || tversky ? train.diceWeight : 0;
    options.presentOnly = train.presentOnly;
    options.overlap = tversky                                    ? OverlapForm::Tversky
                      : train.loss.ends_with("generalized_dice") ? OverlapForm::Generalized
                                                                 : OverlapForm::Dice;
    options.perImage = train.dicePerImage;
    options.withBackground = train.diceBackground;
    options.squared = train.diceSquared;
    options.jaccard = train.diceJaccard;
    options.tverskyFalsePositive = train.tversky[0];
    options.tverskyFalseNegative = train.tversky[1];
    options.focalGamma = focal ? train.focalGamma : -1;
    options.focalAlpha = train.focalAlpha;
    if (!train.ignoreLabel.empty())
        options.ignoreLabel = static_cast<int>(idOf("train.ignore_label", train.ignoreLabel, labels));
    return options;
}

std::vector<float> classWeights(const TrainSettings& settings, const LabelTable& labels,
                                const StructureStatistics& statistics, OutputKind output) {
    if (settings.classWeights == "none" && settings.structureWeights.empty()) return {};
    const std::size_t first = output == OutputKind::Softmax ? 0 : 1;
    std::vector<double> weights = frequencyWeights(settings.classWeights, statistics, first);
    for (const std::string& text : settings.structureWeights) {
        const auto [name, factor] = parseFactor(text);
        const bool background = first == 0 && name == "background";
        weights[background ? 0 : static_cast<std::size_t>(idOf("train.structure_weights", name, labels))] *= factor;
    }
    return {weights.begin() + static_cast<std::ptrdiff_t>(first), weights.end()};
}

}  // namespace medseg
