// Which slices train, which validate, which test. Reproducible from a seed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/slice_cache.h"
#include "medseg/recipe/settings.h"

namespace medseg {

/// Case ids in the order of the dataset.
struct CaseSplit {
    std::vector<std::string> training, validation, test;
};

/// Splits whole cases: by the lists of the settings where they are given, else by folds (fold f validates on every
/// case that a seeded shuffle deals to f), else by fractions of a seeded shuffle. At least one case trains; a fraction
/// above 0 gets at least one case where there are enough. The order of `ids` does not matter.
/// Throws UsageError when a listed case does not exist (with the nearest id), is listed twice, or nothing is left to
/// train on.
CaseSplit splitCases(const std::vector<std::string>& ids, const DataSettings& settings, std::uint64_t seed);

/// Slice numbers of a SliceCache, ascending.
struct SliceSplit {
    bool bySlice = false;  ///< false: no case has slices on two sides
    CaseSplit cases;       ///< by case: who is where; by slice: empty
    std::vector<std::int64_t> training, validation, test;
};

/// Splits the slices of a cache. By case where settings.split says so, or "auto" and there are several cases; else by
/// slice within each case: every holdOutEvery-th source slice (those with index % k == k / 2) validates, or a seeded
/// share. Throws UsageError like splitCases, or when nothing is left to train on.
SliceSplit splitSlices(const SliceCache& cache, const DataSettings& settings, std::uint64_t seed);

/// Writes the split as JSON: case ids or, by slice, case id -> source slices that were held out.
void writeSplit(const std::filesystem::path& file, const SliceSplit& split, const SliceCache& cache);

/// The same for a split by case.
void writeCaseSplit(const std::filesystem::path& file, const CaseSplit& split);

}  // namespace medseg
