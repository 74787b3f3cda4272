#include "medseg/dataset/split.h"

#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/small_cases.h"
#include "medseg/base/error.h"
#include "medseg/dataset/preparation.h"

namespace medseg {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> tenCases() {
    std::vector<std::string> ids;
    for (int i = 0; i < 10; ++i) ids.push_back(fmt::format("s{:04d}", i));
    return ids;
}

TEST(SplitCases, IsReproducibleAndComplete) {
    DataSettings settings;
    settings.validationFraction = 0.2;
    settings.testFraction = 0.3;
    const CaseSplit first = splitCases(tenCases(), settings, 5), again = splitCases(tenCases(), settings, 5);
    EXPECT_EQ(first.validation, again.validation);
    EXPECT_EQ(first.test, again.test);
    EXPECT_EQ(first.validation.size(), 2u);
    EXPECT_EQ(first.test.size(), 3u);
    std::set<std::string> all(first.training.begin(), first.training.end());
    all.insert(first.validation.begin(), first.validation.end());
    all.insert(first.test.begin(), first.test.end());
    EXPECT_EQ(all.size(), 10u);
    EXPECT_TRUE(std::is_sorted(first.training.begin(), first.training.end()));
    bool differs = false;
    for (std::uint64_t seed = 6; seed < 10; ++seed)
        differs |= splitCases(tenCases(), settings, seed).test != first.test;
    EXPECT_TRUE(differs);
}

TEST(SplitCases, FoldsCoverEveryCaseOnce) {
    DataSettings settings;
    settings.folds = 4;
    std::multiset<std::string> validated;
    for (settings.fold = 0; settings.fold < 4; ++settings.fold) {
        const CaseSplit split = splitCases(tenCases(), settings, 1);
        EXPECT_GE(split.validation.size(), 2u);
        validated.insert(split.validation.begin(), split.validation.end());
    }
    EXPECT_EQ(validated.size(), 10u);
    EXPECT_EQ(std::set<std::string>(validated.begin(), validated.end()).size(), 10u);
    EXPECT_THROW(splitCases(tenCases(), settings, 1), UsageError);  // fold 4 of 4
}

TEST(SplitCases, TakesListsAsTheyAre) {
    DataSettings settings;
    settings.validationCases = {"s0003"};
    settings.testCases = {"s0001", "s0009"};
    const CaseSplit split = splitCases(tenCases(), settings, 1);
    EXPECT_THAT(split.validation, ElementsAre("s0003"));
    EXPECT_THAT(split.test, ElementsAre("s0001", "s0009"));
    EXPECT_EQ(split.training.size(), 7u);
    settings.testCases = {"s001"};
    EXPECT_THAT(messageOf<UsageError>([&] { splitCases(tenCases(), settings, 1); }),
                HasSubstr("there is no case \"s001\""));
    settings.testCases = {"s0003"};
    EXPECT_THROW(splitCases(tenCases(), settings, 1), UsageError);
    settings.testCases = {};
    settings.validationCases = tenCases();
    EXPECT_THAT(messageOf<UsageError>([&] { splitCases(tenCases(), settings, 1); }),
                HasSubstr("no case is left to train on"));
}

TEST(SplitCases, AlwaysLeavesACaseToTrain) {
    DataSettings settings;
    settings.validationFraction = 0.9;
    settings.testFraction = 0.9;
    for (std::size_t n = 1; n < 5; ++n) {
        std::vector<std::string> ids = tenCases();
        ids.resize(n);
        EXPECT_GE(splitCases(ids, settings, 3).training.size(), 1u);
    }
}

class SplitSlices : public testing::Test {
  protected:
    /// A cache of one or two cases with nine slices each.
    SliceCache cacheOf(int cases) const {
        const fs::path raw = folder.path() / fmt::format("raw{}", cases),
                       target = folder.path() / fmt::format("cache{}", cases);
        for (int i = 0; i < cases; ++i) writeCt(raw, fmt::format("c{}", i), smallGeometry({8, 8, 9}));
        PrepareSettings settings;
        settings.imageSize = {16, 16};
        prepareSlices(discoverDataset(dataIn(raw)), settings, target);
        return SliceCache(target);
    }
    const TemporaryFolder folder;
};

TEST_F(SplitSlices, HoldsOutEveryKthSliceOfOneCase) {
    DataSettings settings;
    settings.holdOutEvery = 3;
    const SliceSplit split = splitSlices(cacheOf(1), settings, 1);
    EXPECT_TRUE(split.bySlice);
    EXPECT_THAT(split.validation, ElementsAre(1, 4, 7));
    EXPECT_THAT(split.training, ElementsAre(0, 2, 3, 5, 6, 8));
    EXPECT_TRUE(split.test.empty());
}

TEST_F(SplitSlices, AutoSplitsOneCaseBySliceAndSeveralByCase) {
    DataSettings settings;
    settings.validationFraction = 0.34;
    const SliceSplit one = splitSlices(cacheOf(1), settings, 1);
    EXPECT_TRUE(one.bySlice);
    EXPECT_EQ(one.validation.size(), 3u);
    const SliceCache cache = cacheOf(2);
    const SliceSplit two = splitSlices(cache, settings, 1);
    EXPECT_FALSE(two.bySlice);
    EXPECT_EQ(two.validation.size(), 9u);
    EXPECT_EQ(cache.caseAt(cache.caseOf(two.validation.front())).id, two.cases.validation.front());
    writeSplit(folder.path() / "split.json", two, cache);
    EXPECT_THAT(readTextFile(folder.path() / "split.json"), HasSubstr(two.cases.validation.front()));
}

}  // namespace
}  // namespace medseg
