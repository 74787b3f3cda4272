// Volumes of one voxel size on disk: grid, values, labels, foreground index, resumption, damage.
#include "medseg/dataset/volume_cache.h"

#include <cmath>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/small_cases.h"
#include "medseg/base/error.h"
#include "medseg/dataset/volume_preparation.h"
#include "medseg/io/half_float.h"
#include "medseg/volume/orientation.h"

namespace medseg {
namespace {

using testing::HasSubstr;

// By hand: 10 voxels of 2 mm are 20 mm: 13.3 voxels of 1.5 mm, so 13 of 20/13 mm; the first centre lies half a new
// voxel behind the old edge, which is 1 mm before the first old centre.
TEST(NetworkGrid, KeepsTheFieldOfView) {
    const Geometry source = Geometry::axisAligned({10, 8, 6}, {2, 2, 3}, {-10, -8, 5});
    const Geometry grid = networkGrid(source, {1.5, 4, 100});
    EXPECT_EQ(grid.size(), (Index3{13, 4, 1}));
    EXPECT_NEAR(grid.spacing()[0], 20.0 / 13, 1e-9);
    EXPECT_NEAR(grid.spacing()[2], 18, 1e-9);
    const Vec3 first = grid.voxelToWorld({0, 0, 0});
    EXPECT_NEAR(first[0], -11 + 10.0 / 13, 1e-9);
    EXPECT_NEAR(first[1], -9 + 2, 1e-9);
    EXPECT_NEAR(first[2], 3.5 + 9, 1e-9);
}

TEST(NetworkGrid, IsTheSameForEveryOrientationOfTheFile) {
    const Geometry source = Geometry::axisAligned({10, 8, 6}, {2, 2, 3}, {-10, -8, 5});
    const Geometry grid = networkGrid(source, {1, 1, 1});
    for (const char* codes : {"LPS", "SAR", "PIL"}) {
        const Geometry other = networkGrid(turned(source, turnTowards(source, codes)), {1, 1, 1});
        EXPECT_TRUE(other.matches(grid, 1e-9)) << codes << ": " << other.describe();
    }
}

// A linear ramp stays a linear ramp between the outermost centres.
TEST(NetworkVolume, InterpolatesInMillimetres) {
    const Geometry source = Geometry::axisAligned({10, 8, 6}, {2, 2, 3});
    auto image = filled<float>(source, [](auto x, auto y, auto z) { return 4.0 * x + 2.0 * y + 6.0 * z; });
    VolumeFormat format;
    format.window = {0, 100};
    format.spacing = {1, 1, 1};
    for (const char* codes : {"RAS", "LPI", "ASR"}) {
        auto turnedImage = std::get<Volume<float>>(turned(AnyVolume(image.clone()), turnTowards(source, codes)));
        const Volume<float> grid = networkVolume(std::move(turnedImage), format);
        ASSERT_EQ(grid.size(), (Index3{20, 16, 18}));
        for (std::int64_t z = 1; z < 17; ++z)
            for (std::int64_t x = 1; x < 19; ++x) {
                const Vec3 mm = grid.geometry().voxelToWorld({double(x), 7, double(z)});
                EXPECT_NEAR(grid(x, 7, z), (2 * mm[0] + mm[1] + 2 * mm[2]) / 100, 1e-5) << codes;
            }
    }
}

class VolumePreparation : public testing::Test {
  protected:
    VolumePreparation() {
        for (const char* id : {"s1", "s2"}) {
            writeCt(raw(), id);
            writeMask(raw(), id, "liver", [](auto x, auto y, auto z) { return x < 5 && y < 4 && z < 3; });
            writeMask(raw(), id, "spleen", [](auto x, auto y, auto z) { return x >= 5 && y >= 4 && z == 4; });
        }
        data_ = dataIn(raw());
        data_.structures = {"spleen", "liver", "heart"};
        settings_.spacing = {2, 2, 3};
        settings_.window = {-200, 300};
    }
    fs::path raw() const { return folder_.path() / "raw"; }
    fs::path cacheFolder() const { return folder_.path() / "volumes"; }
    CasePipelineResult prepare() { return prepareVolumes(discoverDataset(data_), settings_, cacheFolder()); }

    TemporaryFolder folder_;
    DataSettings data_;
    PrepareSettings settings_;
};

TEST_F(VolumePreparation, StoresWindowedVoxelsLabelsAndForeground) {
    EXPECT_EQ(prepare().prepared, 2);
    const VolumeCache cache(cacheFolder());
    EXPECT_EQ(cache.caseIds(), (std::vector<std::string>{"s1", "s2"}));
    EXPECT_EQ(cache.findCase("s2"), 1);
    EXPECT_EQ(cache.findCase("s3"), -1);
    const CachedVolume& item = cache.caseAt(0);
    EXPECT_EQ(item.grid.size(), (Index3{10, 8, 6}));
    // spleen 5 x 4 x 1, liver 5 x 4 x 3, heart none; the rest is background.
    EXPECT_EQ(item.voxels, (std::vector<std::int64_t>{480 - 20 - 60, 20, 60, 0}));
    EXPECT_EQ(item.foreground, (std::vector<std::int64_t>{0, 20, 60, 0}));
    const auto image = cache.imageHalf(0);
    const auto labels = cache.labelBytes(0, 0);
    for (std::int64_t z = 0; z < 6; ++z)
        for (std::int64_t y = 0; y < 8; ++y)
            for (std::int64_t x = 0; x < 10; ++x) {
                const auto i = static_cast<std::size_t>(x + 10 * (y + 8 * z));
                const double hu = static_cast<double>(10 * x + 20 * y - 30 * z);
                EXPECT_NEAR(halfToFloat(image[i]), (hu + 200) / 500, 3e-4);
                EXPECT_EQ(labels[i], x >= 5 && y >= 4 && z == 4 ? 1 : x < 5 && y < 4 && z < 3 ? 2 : 0);
            }
    for (const std::uint32_t voxel : cache.foreground(0, 1)) EXPECT_EQ(labels[voxel], 1);
    const auto liver = cache.foreground(0, 2);
    EXPECT_EQ(std::set<std::uint32_t>(liver.begin(), liver.end()).size(), 60U);
    EXPECT_TRUE(std::is_sorted(liver.begin(), liver.end()));
    EXPECT_TRUE(cache.foreground(0, 3).empty());
    EXPECT_TRUE(cache.labelBytes(0, 1).empty());
}

TEST_F(VolumePreparation, OverlappingStructuresGetLayers) {
    writeMask(raw(), "s2", "heart", [](auto x, auto y, auto z) { return x < 5 && y < 2 && z < 3; });
    prepare();
    const VolumeCache cache(cacheFolder());
    EXPECT_EQ(cache.layerCount(), 2);
    EXPECT_EQ(cache.caseAt(1).voxels[2], 60);
    EXPECT_EQ(cache.caseAt(1).voxels[3], 30);
    EXPECT_EQ(cache.labelBytes(1, 1).size(), 480U);
}

TEST_F(VolumePreparation, KeepsFinishedCasesAndReplacesChangedOnes) {
    prepare();
    EXPECT_EQ(prepare().reused, 2);
    writeMask(raw(), "s1", "liver", [](auto x, auto, auto) { return x == 0; });
    const CasePipelineResult again = prepare();
    EXPECT_EQ(again.reused, 1);
    EXPECT_EQ(VolumeCache(cacheFolder()).caseAt(0).voxels[2], 48);
    settings_.spacing = {4, 4, 3};
    EXPECT_EQ(prepare().prepared, 2);
    EXPECT_EQ(VolumeCache(cacheFolder()).caseAt(0).grid.size(), (Index3{5, 4, 6}));
}

TEST_F(VolumePreparation, ADamagedCaseDoesNotStopTheOthers) {
    writeTextFile(raw() / "s1" / "ct.nii.gz", "no image");
    const CasePipelineResult result = prepare();
    ASSERT_EQ(result.failures.size(), 1U);
    EXPECT_EQ(result.failures[0].id, "s1");
    EXPECT_EQ(VolumeCache(cacheFolder()).caseIds(), (std::vector<std::string>{"s2"}));
    writeTextFile(raw() / "s2" / "ct.nii.gz", "no image");
    EXPECT_THROW(prepare(), DataError);
    EXPECT_THROW(VolumeCache{cacheFolder()}, DataError);
}

TEST_F(VolumePreparation, RefusesWhatItCannotRead) {
    settings_.window = {3, 3};
    EXPECT_THROW(prepare(), UsageError);
    settings_.window = {0, 1};
    EXPECT_THAT(messageOf<DataError>([&] { VolumeCache{cacheFolder()}; }), HasSubstr("holds no prepared volumes"));
    prepare();
    const VolumeCachePaths paths{cacheFolder()};
    fs::resize_file(paths.labels("s2"), 300);
    EXPECT_THAT(messageOf<DataError>([&] { VolumeCache{cacheFolder()}; }), HasSubstr("is truncated: prepare again"));
    std::string manifest = readTextFile(paths.manifest());
    manifest.replace(manifest.find("\"volumes\""), 9, "\"medsam\" ");
    writeTextFile(paths.manifest(), manifest);
    EXPECT_THAT(messageOf<DataError>([&] { VolumeCache{cacheFolder()}; }), HasSubstr("prepared as \"medsam\""));
    writeTextFile(paths.manifest(), "{}");
    EXPECT_THROW(VolumeCache{cacheFolder()}, DataError);
}

// 1000 voxels of label 1 and 30 of label 2; at most 50 are kept: one in each stretch of 20.
TEST(SampleForeground, TakesOneVoxelOfEachStretch) {
    const Geometry grid = Geometry::axisAligned({103, 10, 1}, {1, 1, 1});
    std::vector<LabelMap> layers;
    layers.emplace_back(filled<std::uint8_t>(grid, [](auto x, auto, auto) { return x < 100 ? 1.0 : 2.0; }));
    const auto voxels = sampleForeground(layers, 3, 50);
    ASSERT_EQ(voxels.size(), 4U);
    ASSERT_EQ(voxels[1].size(), 50U);
    EXPECT_EQ(voxels[2].size(), 30U);
    EXPECT_TRUE(voxels[0].empty() && voxels[3].empty());
    for (std::size_t i = 0; i < 50; ++i) {
        const std::uint32_t rank = voxels[1][i] / 103 * 100 + voxels[1][i] % 103;
        EXPECT_EQ(rank / 20, i);
    }
    EXPECT_EQ(sampleForeground(layers, 3, 50), voxels);
}

}  // namespace
}  // namespace medseg
