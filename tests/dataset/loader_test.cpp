#include <cmath>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/small_cases.h"
#include "medseg/base/error.h"
#include "medseg/dataset/preparation.h"
#include "medseg/dataset/slice_loader.h"

namespace medseg {
namespace {

class Loader : public testing::Test {
  protected:
    void SetUp() override {
        for (const char* id : {"a", "b"}) {
            writeCt(folder.path() / "raw", id, smallGeometry({10, 8, 7}));
            writeMask(
                folder.path() / "raw", id, "liver", [](auto x, auto, auto z) { return x < 5 && z > 0; },
                smallGeometry({10, 8, 7}));
            writeMask(
                folder.path() / "raw", id, "heart", [](auto x, auto, auto z) { return x > 7 && z == 6; },
                smallGeometry({10, 8, 7}));
        }
        PrepareSettings settings;
        settings.imageSize = {16, 16};
        DataSettings data = dataIn(folder.path() / "raw");
        data.structures = {"liver", "heart"};
        prepareSlices(discoverDataset(data), settings, folder.path() / "cache");
        cache.emplace(folder.path() / "cache");
        for (std::int64_t i = 0; i < cache->sliceCount(); ++i) all.push_back(i);
    }
    std::vector<SliceBatch> epoch(SliceLoader& loader, std::uint64_t number, std::int64_t from = 0) const {
        std::vector<SliceBatch> batches;
        loader.startEpoch(number, from);
        while (auto batch = loader.next()) batches.push_back(std::move(*batch));
        return batches;
    }
    LoaderSettings augmented(int workers) const {
        AugmentationSettings changes;
        changes.enabled = true;
        LoaderSettings settings;
        settings.batchSize = 3;
        settings.workers = workers;
        settings.change = [changes](SliceSample& sample, Random& random) { augment(sample, changes, random); };
        return settings;
    }

    const TemporaryFolder folder;
    std::optional<SliceCache> cache;
    std::vector<std::int64_t> all;
};

// 2.5D: the neighbours in the volume, the end slice repeated; the second case does not look into the first.
TEST_F(Loader, GivesNeighboursAsChannels) {
    LoaderSettings settings;
    settings.batchSize = 14;
    settings.shuffle = false;
    settings.neighbours = 2;
    SliceLoader loader(*cache, all, settings);
    const SliceBatch batch = epoch(loader, 0).at(0);
    ASSERT_EQ(batch.channels, 5);
    std::vector<float> expected(256);
    for (std::int64_t slice = 0; slice < 14; ++slice)
        for (std::int64_t channel = 0; channel < 5; ++channel) {
            const std::int64_t first = slice < 7 ? 0 : 7;
            cache->copyImage(std::clamp<std::int64_t>(slice + channel - 2, first, first + 6), expected.data());
            EXPECT_TRUE(
                std::equal(expected.begin(), expected.end(), batch.images.begin() + (slice * 5 + channel) * 256))
                << slice << " " << channel;
        }
    // The same through augmentation that changes nothing.
    settings.change = [](SliceSample& sample, Random&) { EXPECT_EQ(sample.channels, 5); };
    SliceLoader changed(*cache, all, settings);
    EXPECT_EQ(epoch(changed, 0).at(0).images, batch.images);
}

TEST_F(Loader, NeighboursNeedEverySlice) {
    PrepareSettings every;
    every.imageSize = {16, 16};
    every.everySlice = 2;
    DataSettings data = dataIn(folder.path() / "raw");
    data.structures = {"liver", "heart"};
    prepareSlices(discoverDataset(data), every, folder.path() / "half");
    const SliceCache half(folder.path() / "half");
    LoaderSettings settings;
    settings.neighbours = 1;
    EXPECT_THAT(messageOf<UsageError>([&] { SliceLoader loader(half, {0}, settings); }),
                testing::HasSubstr("prepare.every_slice=1"));
}

// What several processes get together is what one gets with the larger batch, augmentation included.
TEST_F(Loader, ShardsTogetherAreOneLoader) {
    LoaderSettings whole = augmented(1);
    whole.batchSize = 6;  // of 14 slices: batches of 6, 6 and 2
    SliceLoader one(*cache, all, whole);
    const auto expected = epoch(one, 3);
    std::vector<std::vector<SliceBatch>> parts;
    for (int shard = 0; shard < 2; ++shard) {
        LoaderSettings settings = augmented(2);
        settings.shard = shard;
        settings.shards = 2;
        SliceLoader loader(*cache, all, settings);
        EXPECT_EQ(loader.batchesPerEpoch(), 3);
        parts.push_back(epoch(loader, 3));
    }
    for (std::size_t b = 0; b < expected.size(); ++b) {
        std::vector<std::int64_t> slices = parts[0][b].slices;
        slices.insert(slices.end(), parts[1][b].slices.begin(), parts[1][b].slices.end());
        EXPECT_EQ(slices, expected[b].slices);
        std::vector<float> images = parts[0][b].images;
        images.insert(images.end(), parts[1][b].images.begin(), parts[1][b].images.end());
        EXPECT_EQ(images, expected[b].images);
        EXPECT_DOUBLE_EQ(parts[0][b].share + parts[1][b].share, 2);
    }
    LoaderSettings uneven;
    uneven.batchSize = 1;
    uneven.shards = 4;  // 14 slices: three batches of 4; the last two slices are fewer than the processes
    SliceLoader loader(*cache, all, uneven);
    EXPECT_EQ(loader.batchesPerEpoch(), 3);
    uneven.shards = 15;
    EXPECT_THAT(messageOf<UsageError>([&] { SliceLoader few(*cache, all, uneven); }),
                testing::HasSubstr("14 slices are too few for 15 processes"));
}

TEST_F(Loader, GivesEverySliceOnceWithItsContent) {
    LoaderSettings settings;
    settings.batchSize = 4;
    SliceLoader loader(*cache, all, settings);
    EXPECT_EQ(loader.batchesPerEpoch(), 4);
    std::set<std::int64_t> seen;
    for (const SliceBatch& batch : epoch(loader, 0)) {
        EXPECT_EQ(batch.images.size(), static_cast<std::size_t>(batch.count) * 256);
        for (std::int64_t i = 0; i < batch.count; ++i) {
            std::vector<float> expected(256);
            cache->copyImage(batch.slices[i], expected.data());
            EXPECT_TRUE(std::equal(expected.begin(), expected.end(), batch.images.begin() + i * 256));
            const auto labels = cache->labelBytes(batch.slices[i], 0);
            EXPECT_TRUE(std::equal(labels.begin(), labels.end(), batch.labels8.begin() + i * 256));
            seen.insert(batch.slices[i]);
        }
    }
    EXPECT_EQ(seen.size(), all.size());
    EXPECT_GE(loader.idleShare(), 0);
    EXPECT_LE(loader.idleShare(), 1);
}

TEST_F(Loader, DoesNotDependOnTheNumberOfWorkers) {
    SliceLoader one(*cache, all, augmented(1)), three(*cache, all, augmented(3));
    for (std::uint64_t number : {0, 1, 5}) {
        const auto a = epoch(one, number), b = epoch(three, number);
        ASSERT_EQ(a.size(), b.size());
        for (std::size_t i = 0; i < a.size(); ++i) {
            EXPECT_EQ(a[i].slices, b[i].slices);
            EXPECT_EQ(a[i].images, b[i].images);
            EXPECT_EQ(a[i].labels8, b[i].labels8);
        }
    }
}

TEST_F(Loader, ShufflesAnewEachEpochAndResumesInTheMiddle) {
    SliceLoader loader(*cache, all, augmented(2));
    const auto first = epoch(loader, 0), second = epoch(loader, 1), rest = epoch(loader, 1, 2);
    EXPECT_NE(first[0].slices, second[0].slices);
    ASSERT_EQ(rest.size() + 2, second.size());
    EXPECT_EQ(rest[0].slices, second[2].slices);
    EXPECT_EQ(rest[0].images, second[2].images);
}

TEST_F(Loader, CanBeLeftInTheMiddleOfAnEpoch) {
    SliceLoader loader(*cache, all, augmented(2));
    loader.startEpoch(0);
    loader.next();
    const auto complete = epoch(loader, 3);
    EXPECT_EQ(complete.size(), static_cast<std::size_t>(loader.batchesPerEpoch()));
    SliceLoader fresh(*cache, all, augmented(1));
    EXPECT_EQ(epoch(fresh, 3)[0].images, complete[0].images);
}

TEST_F(Loader, DropsTheLastBatchAndKeepsOrderOnRequest) {
    LoaderSettings settings;
    settings.batchSize = 4;
    settings.shuffle = false;
    settings.dropLast = true;
    SliceLoader loader(*cache, all, settings);
    const auto batches = epoch(loader, 0);
    ASSERT_EQ(batches.size(), 3u);
    EXPECT_THAT(batches[1].slices, testing::ElementsAre(4, 5, 6, 7));
}

TEST_F(Loader, PassesOnWhatAWorkerThrows) {
    LoaderSettings settings;
    settings.workers = 2;
    settings.change = [](SliceSample&, Random&) { throw DataError("slice", "cannot be changed"); };
    SliceLoader loader(*cache, all, settings);
    loader.startEpoch(0);
    EXPECT_THROW(while (loader.next()){}, DataError);
}

TEST_F(Loader, DrawsInProportionToTheWeights) {
    LoaderSettings settings;
    settings.batchSize = 14;
    settings.weights.assign(all.size(), 1.0);
    settings.weights[6] = 5;
    SliceLoader loader(*cache, all, settings);
    double drawn = 0;
    for (std::uint64_t number = 0; number < 100; ++number) {
        const auto batches = epoch(loader, number);
        EXPECT_EQ(batches[0].count, 14);
        drawn += static_cast<double>(std::count(batches[0].slices.begin(), batches[0].slices.end(), 6));
    }
    EXPECT_NEAR(drawn / 100, 14.0 * 5 / 18, 0.05);
    settings.weights.pop_back();
    EXPECT_THROW(SliceLoader(*cache, all, settings), UsageError);
    EXPECT_THROW(SliceLoader(*cache, {}, LoaderSettings{}), UsageError);
}

TEST_F(Loader, RareStructuresWeighMore) {
    // heart stands in one of seven slices of each case, liver in six.
    const auto weights = rarityWeights(*cache, all, 1.0);
    EXPECT_DOUBLE_EQ(weights[1], 1);
    EXPECT_GE(weights[6], weights[1]);
    const auto flat = rarityWeights(*cache, all, 0.0);
    EXPECT_DOUBLE_EQ(flat[6], 1);
}

}  // namespace
}  // namespace medseg
