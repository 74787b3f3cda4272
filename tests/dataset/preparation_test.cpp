#include "medseg/dataset/preparation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/small_cases.h"
#include "medseg/base/error.h"
#include "medseg/io/half_float.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

using testing::HasSubstr;

class Preparation : public testing::Test {
  protected:
    void SetUp() override {
        for (const char* id : {"s0", "s1"}) {
            writeCt(folder.path() / "raw", id);
            writeMask(folder.path() / "raw", id, "liver", [](auto x, auto, auto z) { return x < 5 && z != 3; });
        }
        settings.imageSize = {16, 20};
        data = dataIn(folder.path() / "raw");
        data.structures = {"heart", "liver"};
    }
    PreparationResult prepare() const { return prepareSlices(discoverDataset(data), settings, cacheFolder()); }
    fs::path cacheFolder() const { return folder.path() / "cache"; }

    const TemporaryFolder folder;
    DataSettings data;
    PrepareSettings settings;
};

TEST_F(Preparation, StoresWindowedResizedSlices) {
    const PreparationResult result = prepare();
    EXPECT_EQ(result.prepared, 2);
    EXPECT_EQ(result.slices, 12);
    const SliceCache cache(cacheFolder());
    ASSERT_EQ(cache.caseCount(), 2);
    EXPECT_EQ(cache.sliceCount(), 12);
    EXPECT_EQ(cache.labels().nameOf(2), "liver");
    EXPECT_EQ(cache.caseOf(7), 1);
    EXPECT_EQ(cache.sourceSliceOf(7), 1);
    EXPECT_TRUE(cache.caseAt(1).geometry.matches(smallGeometry()));
    std::vector<float> image(16 * 20);
    cache.copyImage(2, image.data());
    // Twice the size along both axes: pixel 2 i + 1 lies a quarter pixel behind input pixel i. HU = 10x + 20y - 60.
    const double hu = 10 * 4.25 + 20 * 3.25 - 30 * 2;
    EXPECT_NEAR(image[7 * 20 + 9], (hu + 200) / 500, 5e-4);
    const auto labels = cache.labelBytes(2, 0);
    EXPECT_EQ(labels[7 * 20 + 9], 2);   // input column 4
    EXPECT_EQ(labels[7 * 20 + 10], 0);  // input column 5
    EXPECT_EQ(cache.labelCounts(2)[2], 160u);
    EXPECT_EQ(cache.labelCounts(2)[0], 160u);
    EXPECT_EQ(cache.labelCounts(3)[2], 0u);
    EXPECT_TRUE(cache.labelBytes(2, 1).empty());
    EXPECT_THAT(readTextFile(cacheFolder() / "label_map.json"), HasSubstr("\"liver\": 1"));
}

TEST_F(Preparation, WritesPlainNumpyArrays) {
    prepare();
    const NpyArray image = readNpy(cacheFolder() / "images" / "s0.npy"),
                   labels = readNpy(cacheFolder() / "labels" / "s0.npy");
    EXPECT_THAT(image.shape, testing::ElementsAre(6, 16, 20));
    EXPECT_EQ(image.type, NpyType::F16);
    EXPECT_THAT(labels.shape, testing::ElementsAre(1, 6, 16, 20));
    EXPECT_EQ(labels.type, NpyType::U8);
}

TEST_F(Preparation, KeepsOnlyTheSlicesAskedFor) {
    settings.slices = "labelled";
    EXPECT_EQ(prepare().slices, 10);
    EXPECT_THAT(SliceCache(cacheFolder()).caseAt(0).sourceSlices, testing::ElementsAre(0, 1, 2, 4, 5));
    settings.slices = "all";
    settings.everySlice = 4;
    EXPECT_EQ(prepare().prepared, 2);
    EXPECT_THAT(SliceCache(cacheFolder()).caseAt(0).sourceSlices, testing::ElementsAre(0, 4));
    settings.everySlice = 1;
    settings.axis = "coronal";
    prepare();
    EXPECT_EQ(SliceCache(cacheFolder()).caseAt(0).sliceCount(), 8);
}

TEST_F(Preparation, ReusesWhatHasNotChanged) {
    prepare();
    EXPECT_EQ(prepare().reused, 2);
    writeMask(folder.path() / "raw", "s1", "heart", [](auto x, auto, auto) { return x == 9; });
    PreparationResult result = prepare();
    EXPECT_EQ(result.reused, 1);
    EXPECT_EQ(result.prepared, 1);
    EXPECT_GT(SliceCache(cacheFolder()).labelCounts(6)[1], 0u);
    settings.window = {-100, 100};
    EXPECT_EQ(prepare().prepared, 2);
    fs::remove(cacheFolder() / "labels" / "s0.npy");
    result = prepare();
    EXPECT_EQ(result.prepared, 1);
    EXPECT_EQ(result.reused, 1);
}

TEST_F(Preparation, SetsDamagedCasesAside) {
    writeTextFile(folder.path() / "raw" / "s0" / "ct.nii.gz", "this is no gzip stream");
    const PreparationResult result = prepare();
    ASSERT_EQ(result.failures.size(), 1u);
    EXPECT_EQ(result.failures[0].id, "s0");
    EXPECT_THAT(result.failures[0].message, HasSubstr("s0/ct.nii.gz"));
    EXPECT_EQ(SliceCache(cacheFolder()).caseCount(), 1);
    EXPECT_FALSE(fs::exists(cacheFolder() / "images" / "s0.npy"));
    writeTextFile(folder.path() / "raw" / "s1" / "ct.nii.gz", "neither is this");
    EXPECT_THROW(prepare(), DataError);
}

TEST_F(Preparation, LayersOfOverlappingStructuresAreKept) {
    writeMask(folder.path() / "raw", "s1", "heart", [](auto x, auto, auto) { return x < 2; });
    prepare();
    const SliceCache cache(cacheFolder());
    EXPECT_EQ(cache.layerCount(), 2);
    EXPECT_TRUE(cache.labelBytes(0, 1).empty());
    EXPECT_EQ(cache.labelBytes(6, 0)[0], 1);
    EXPECT_EQ(cache.labelBytes(6, 1)[0], 2);
    EXPECT_EQ(cache.labelCounts(6)[1], 4u * 16);
    EXPECT_EQ(cache.labelCounts(6)[2], 160u);
}

TEST_F(Preparation, RefusesWhatIsNoCache) {
    EXPECT_THAT(messageOf<DataError>([&] { SliceCache(folder.path() / "raw"); }), HasSubstr("is no slice cache"));
    prepare();
    const fs::path array = cacheFolder() / "images" / "s0.npy";
    fs::resize_file(array, fs::file_size(array) - 10);
    EXPECT_THAT(messageOf<DataError>([&] { SliceCache{cacheFolder()}; }), HasSubstr("s0.npy: is truncated"));
    prepare();
    writeTextFile(cacheFolder() / "cache.json", "{\"version\": 99}");
    EXPECT_THAT(messageOf<DataError>([&] { SliceCache{cacheFolder()}; }), HasSubstr("format version 99"));
    writeTextFile(cacheFolder() / "cache.json", "{");
    EXPECT_THAT(messageOf<DataError>([&] { SliceCache{cacheFolder()}; }), HasSubstr("cache.json: cannot be used"));
}

TEST_F(Preparation, RefusesAnEmptyWindow) {
    settings.window = {100, 100};
    EXPECT_THROW(prepare(), UsageError);
}

}  // namespace
}  // namespace medseg
