#include "medseg/dataset/split.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/random.h"
#include "medseg/recipe/recipe.h"

namespace medseg {
namespace {

constexpr std::uint64_t kCaseStream = 0x5b11, kSliceStream = 0x5b12;

bool contains(const std::vector<std::string>& list, const std::string& id) {
    return std::find(list.begin(), list.end(), id) != list.end();
}

void requireKnown(const std::vector<std::string>& wanted, const std::vector<std::string>& ids, const char* key) {
    for (const std::string& id : wanted)
        if (!contains(ids, id)) {
            const std::string near = nearestWord(id, ids);
            throw UsageError(fmt::format("{}: there is no case \"{}\"{}", key, id,
                                         near.empty() ? std::string() : fmt::format(": did you mean \"{}\"?", near)));
        }
}

/// Number of `total` items in a share, at least one where the share is above 0 and there are enough.
std::size_t shareOf(double fraction, std::size_t total) {
    if (fraction <= 0 || total < 2) return 0;
    return std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(fraction * static_cast<double>(total))));
}

std::vector<std::string> shuffled(std::vector<std::string> ids, std::uint64_t seed) {
    std::sort(ids.begin(), ids.end());
    Random random(seed, kCaseStream);
    random.shuffle(ids);
    return ids;
}

/// Cases that validate or test because the settings draw them.
std::vector<std::string> drawn(const std::vector<std::string>& order, double fraction, std::size_t total,
                               std::size_t& next) {
    std::vector<std::string> chosen;
    for (std::size_t left = shareOf(fraction, total); left > 0 && next + 1 < order.size(); --left)
        chosen.push_back(order[next++]);
    return chosen;
}

std::vector<std::string> inDatasetOrder(const std::vector<std::string>& ids, const std::vector<std::string>& chosen) {
    std::vector<std::string> result;
    std::copy_if(ids.begin(), ids.end(), std::back_inserter(result),
                 [&](const std::string& id) { return contains(chosen, id); });
    return result;
}

/// Slices of one case, in place: 0 trains, 1 validates, 2 tests.
std::vector<int> dealSlices(const CachedCase& item, const DataSettings& settings, std::uint64_t seed) {
    std::vector<int> side(item.sourceSlices.size(), 0);
    if (settings.holdOutEvery > 1) {
        for (std::size_t i = 0; i < side.size(); ++i)
            if (item.sourceSlices[i] % settings.holdOutEvery == settings.holdOutEvery / 2) side[i] = 1;
        return side;
    }
    std::uint64_t hash = kSliceStream;
    for (const char c : item.id) hash = hash * 1099511628211ULL + static_cast<unsigned char>(c);
    std::vector<std::size_t> order(side.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    Random random(seed, hash);
    random.shuffle(order);
    const std::size_t validation = shareOf(settings.validationFraction, order.size());
    const std::size_t test = shareOf(settings.testFraction, order.size());
    for (std::size_t i = 0; i < std::min(order.size(), validation + test); ++i) side[order[i]] = i < validation ? 1 : 2;
    return side;
}

std::vector<std::string> caseIds(const SliceCache& cache) {
    std::vector<std::string> ids;
    for (std::int64_t i = 0; i < cache.caseCount(); ++i) ids.push_back(cache.caseAt(i).id);
    return ids;
}

}  // namespace

CaseSplit splitCases(const std::vector<std::string>& ids, const DataSettings& settings, std::uint64_t seed) {
    requireKnown(settings.validationCases, ids, "data.validation_cases");
    requireKnown(settings.testCases, ids, "data.test_cases");
    for (const std::string& id : settings.testCases)
        if (contains(settings.validationCases, id))
            throw UsageError(fmt::format("case \"{}\" stands in data.validation_cases and in data.test_cases", id));

    std::vector<std::string> order = shuffled(ids, seed);
    std::erase_if(order, [&](const std::string& id) {
        return contains(settings.validationCases, id) || contains(settings.testCases, id);
    });
    std::size_t next = 0;
    std::vector<std::string> test = settings.testCases, validation = settings.validationCases;
    if (test.empty()) test = drawn(order, settings.testFraction, ids.size(), next);
    if (validation.empty() && settings.folds > 1) {
        if (settings.fold >= settings.folds)
            throw UsageError(fmt::format("data.fold {}: there are {} folds, 0 to {}", settings.fold, settings.folds,
                                         settings.folds - 1));
        const std::size_t first = next;
        for (std::size_t i = first; i < order.size(); ++i)
            if (static_cast<int>((i - first) % static_cast<std::size_t>(settings.folds)) == settings.fold)
                validation.push_back(order[i]);
    } else if (validation.empty()) {
        validation = drawn(order, settings.validationFraction, ids.size(), next);
    }
    CaseSplit split;
    split.test = inDatasetOrder(ids, test);
    split.validation = inDatasetOrder(ids, validation);
    std::copy_if(ids.begin(), ids.end(), std::back_inserter(split.training),
                 [&](const std::string& id) { return !contains(test, id) && !contains(validation, id); });
    if (split.training.empty())
        throw UsageError(fmt::format("no case is left to train on: {} of {} validate and {} test",
                                     split.validation.size(), ids.size(), split.test.size()));
    return split;
}

SliceSplit splitSlices(const SliceCache& cache, const DataSettings& settings, std::uint64_t seed) {
    SliceSplit split;
    split.bySlice =
        settings.split == "slice" || settings.holdOutEvery > 1 || (settings.split == "auto" && cache.caseCount() == 1);
    if (!split.bySlice) split.cases = splitCases(caseIds(cache), settings, seed);
    for (std::int64_t c = 0; c < cache.caseCount(); ++c) {
        const CachedCase& item = cache.caseAt(c);
        std::vector<int> side;
        if (split.bySlice)
            side = dealSlices(item, settings, seed);
        else
            side.assign(item.sourceSlices.size(), contains(split.cases.validation, item.id) ? 1
                                                  : contains(split.cases.test, item.id)     ? 2
                                                                                            : 0);
        for (std::size_t i = 0; i < side.size(); ++i) {
            auto& list = side[i] == 0 ? split.training : side[i] == 1 ? split.validation : split.test;
            list.push_back(cache.firstSliceOf(c) + static_cast<std::int64_t>(i));
        }
    }
    if (split.training.empty())
        throw UsageError("no slice is left to train on: lower data.validation_fraction or data.test_fraction");
    return split;
}

void writeSplit(const fs::path& file, const SliceSplit& split, const SliceCache& cache) {
    if (!split.bySlice) return writeCaseSplit(file, split.cases);
    const auto bySlice = [&](const std::vector<std::int64_t>& slices) {
        nlohmann::ordered_json cases = nlohmann::ordered_json::object();
        for (const std::int64_t slice : slices)
            cases[cache.caseAt(cache.caseOf(slice)).id].push_back(cache.sourceSliceOf(slice));
        return cases;
    };
    const nlohmann::ordered_json json{{"by", "slice"},
                                      {"training", bySlice(split.training)},
                                      {"validation", bySlice(split.validation)},
                                      {"test", bySlice(split.test)}};
    writeTextFile(file, json.dump(1) + "\n");
}

void writeCaseSplit(const fs::path& file, const CaseSplit& split) {
    const nlohmann::ordered_json json{
        {"by", "case"}, {"training", split.training}, {"validation", split.validation}, {"test", split.test}};
    writeTextFile(file, json.dump(1) + "\n");
}

}  // namespace medseg
