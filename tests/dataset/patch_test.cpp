// Patches: where they are drawn, what they hold, how they are changed, how they reach the network.
#include <cmath>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataset/small_cases.h"
#include "medseg/base/error.h"
#include "medseg/dataset/patch_augmentation.h"
#include "medseg/dataset/patch_loader.h"
#include "medseg/dataset/volume_preparation.h"

namespace medseg {
namespace {

/// Two cases: a large one with liver (a corner of 6^3) and spleen (one voxel), a small one without any structure.
/// Values are (x + 2 y + 3 z) / 500 on a window of [0, 500].
class Patches : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder = new TemporaryFolder;
        const fs::path raw = folder->path() / "raw";
        for (const bool large : {true, false}) {
            const Geometry grid = Geometry::axisAligned(large ? Index3{40, 32, 24} : Index3{10, 12, 14}, {2, 2, 2});
            const std::string id = large ? "a" : "b";
            createDirectories(raw / id / "segmentations");
            writeImage(raw / id / "ct.nii.gz", filled<std::int16_t>(grid, [](auto x, auto y, auto z) {
                           return static_cast<double>(x + 2 * y + 3 * z);
                       }));
            writeMask(
                raw, id, "liver", [=](auto x, auto y, auto z) { return large && x < 6 && y < 6 && z < 6; }, grid);
            writeMask(
                raw, id, "spleen", [=](auto x, auto y, auto z) { return large && x == 30 && y == 20 && z == 12; },
                grid);
        }
        DataSettings data = dataIn(raw);
        data.structures = {"liver", "spleen"};
        PrepareSettings settings;
        settings.spacing = {2, 2, 2};
        settings.window = {0, 500};
        prepareVolumes(discoverDataset(data), settings, folder->path() / "volumes");
        cache = new VolumeCache(folder->path() / "volumes");
    }
    static void TearDownTestSuite() {
        delete cache;
        delete folder;
    }
    static inline TemporaryFolder* folder = nullptr;
    static inline VolumeCache* cache = nullptr;

    static PatchSampling sampling(double foreground) { return {{16, 16, 16}, 100, foreground, 3}; }
};

float rampAt(double x, double y, double z) {
    return static_cast<float>((x + 2 * y + 3 * z) / 500);
}

TEST_F(Patches, EveryCaseIsSeenEquallyOftenAndPatchesStayInside) {
    const auto places = drawPatches(*cache, {0, 1}, sampling(0), 0);
    std::map<std::int64_t, int> seen;
    std::array<std::set<std::int64_t>, 3> starts;
    for (const PatchPlace& place : places) {
        ++seen[place.volume];
        for (std::size_t axis = 0; axis < 3; ++axis)
            if (place.volume == 0) starts[axis].insert(place.start[axis]);
    }
    EXPECT_EQ(seen[0], 100);
    EXPECT_EQ(seen[1], 100);
    // 40 - 16, 32 - 16, 24 - 16 are the last starts; 100 uniform draws miss an end of 25 values with a chance of 2 %.
    EXPECT_GE(*starts[0].begin(), 0);
    EXPECT_LE(*starts[0].rbegin(), 24);
    EXPECT_GT(starts[0].size(), 20U);
    EXPECT_EQ(*starts[2].begin(), 0);
    EXPECT_EQ(*starts[2].rbegin(), 8);
    // The small case lies in the middle of the patch: 16 - 10 = 6 voxels, 3 before; 4, 2 before; 2, 1 before.
    for (const PatchPlace& place : places)
        if (place.volume == 1) {
            EXPECT_EQ(place.start, (Index3{-3, -2, -1}));
        }
}

TEST_F(Patches, TheForegroundShareIsCentredOnStructuresEachEquallyOften) {
    // The spleen voxel (30, 20, 12) in the middle of 16: start (22, 12, 4). A liver voxel is below 6: start 0 0 0.
    int spleen = 0, liver = 0;
    for (std::uint64_t epoch = 0; epoch < 10; ++epoch)
        for (const PatchPlace& place : drawPatches(*cache, {0}, sampling(1), epoch)) {
            spleen += place.start == Index3{22, 12, 4};
            liver += place.start == Index3{0, 0, 0};
        }
    EXPECT_EQ(spleen + liver, 1000);
    EXPECT_NEAR(spleen, 500, 60);  // four standard deviations of a fair coin

    int centred = 0;
    const auto places = drawPatches(*cache, {0}, sampling(0.25), 0);
    for (const PatchPlace& place : places)
        centred += place.start == Index3{22, 12, 4} || place.start == Index3{0, 0, 0};
    EXPECT_GE(centred, 25);
    EXPECT_LE(centred, 28);  // a uniform start hits these two places once in 2000 draws
    for (std::size_t i = 0; i + 4 <= places.size(); i += 4) {
        int inStretch = 0;
        for (std::size_t k = i; k < i + 4; ++k)
            inStretch += places[k].start == Index3{22, 12, 4} || places[k].start == Index3{0, 0, 0};
        EXPECT_GE(inStretch, 1) << "patches " << i;
    }
    EXPECT_EQ(drawPatches(*cache, {1}, sampling(1), 0).size(), 100U);  // no structure there
    EXPECT_THROW(drawPatches(*cache, {}, sampling(1), 0), UsageError);
}

TEST_F(Patches, TilesCoverEveryVoxelOnce) {
    Volume<std::uint8_t> hits(cache->caseAt(0).grid, std::uint8_t{0});
    for (const PatchPlace& place : tilePatches(*cache, {0}, {16, 20, 24}))
        for (std::int64_t z = place.start[2]; z < std::min<std::int64_t>(24, place.start[2] + 24); ++z)
            for (std::int64_t y = place.start[1]; y < std::min<std::int64_t>(32, place.start[1] + 20); ++y)
                for (std::int64_t x = place.start[0]; x < std::min<std::int64_t>(40, place.start[0] + 16); ++x)
                    ++hits(x, y, z);
    for (const std::uint8_t count : hits.voxels()) ASSERT_EQ(count, 1);
}

TEST_F(Patches, HoldTheVolumeAndZerosAroundIt) {
    PatchSample sample;
    readPatch(*cache, {1, {-3, -2, 5}}, {16, 16, 16}, sample);
    for (std::int64_t z = 0; z < 16; ++z)
        for (std::int64_t y = 0; y < 16; ++y)
            for (std::int64_t x = 0; x < 16; ++x) {
                const std::int64_t vx = x - 3, vy = y - 2, vz = z + 5;
                const bool inside = vx >= 0 && vx < 10 && vy >= 0 && vy < 12 && vz < 14;
                const float expected = inside ? rampAt(vx, vy, vz) : 0.0F;
                ASSERT_NEAR(sample.image[static_cast<std::size_t>(x + 16 * (y + 16 * z))], expected, 1e-4);
            }
}

TEST_F(Patches, WithoutChangeTheMapGivesTheSamePatch) {
    PatchSample plain, mapped;
    for (const PatchPlace& place : {PatchPlace{0, {1, 2, 3}}, PatchPlace{1, {-3, -2, -1}}}) {
        const PatchMap map = patchMap(place, {16, 16, 16}, {2, 2, 2}, {});
        readPatch(*cache, place, {16, 16, 16}, plain);
        readPatch(*cache, place.volume, {16, 16, 16}, map, nullptr, mapped);
        for (std::size_t i = 0; i < plain.image.size(); ++i) ASSERT_NEAR(plain.image[i], mapped.image[i], 1e-6);
        EXPECT_EQ(plain.labels, mapped.labels);
    }
}

// A ramp is linear, so trilinear interpolation gives it exactly at the mapped position, also beyond the unmapped patch.
TEST_F(Patches, RotationsReadTheVolumeAroundThePatch) {
    PatchPose pose;
    pose.degrees = {10, -20, 15};
    pose.zoom = 1.1;
    pose.shift = {1, -2, 0.5};
    pose.flip = {true, false, false};
    const PatchPlace place{0, {14, 10, 8}};
    const Index3 size{8, 8, 8};
    const PatchMap map = patchMap(place, size, {2, 2, 2}, pose);
    PatchSample sample;
    readPatch(*cache, 0, size, map, nullptr, sample);
    for (std::int64_t z = 0; z < 8; ++z)
        for (std::int64_t y = 0; y < 8; ++y)
            for (std::int64_t x = 0; x < 8; ++x) {
                Vec3 at{};
                for (std::size_t r = 0; r < 3; ++r)
                    at[r] = map[r][0] * double(x) + map[r][1] * double(y) + map[r][2] * double(z) + map[r][3];
                ASSERT_NEAR(sample.image[static_cast<std::size_t>(x + 8 * (y + 8 * z))], rampAt(at[0], at[1], at[2]),
                            2e-4);
            }
}

TEST(PatchMap, FollowsItsDefinition) {
    // A quarter turn about z in voxels of 1 x 2 x 1 mm: one step along x of the patch is 1 mm, half a voxel along y.
    PatchPose pose;
    pose.degrees = {0, 0, 90};
    const PatchPlace place{0, {10, 20, 30}};
    const PatchMap map = patchMap(place, {5, 5, 5}, {1, 2, 1}, pose);
    EXPECT_NEAR(map[1][0], 0.5, 1e-12);
    EXPECT_NEAR(map[0][1], -2, 1e-12);
    EXPECT_NEAR(map[2][2], 1, 1e-12);
    // The centre stays: patch voxel (2, 2, 2) is volume voxel (12, 22, 32).
    const Vec3 centre{12, 22, 32};
    for (std::size_t r = 0; r < 3; ++r)
        EXPECT_NEAR(2 * (map[r][0] + map[r][1] + map[r][2]) + map[r][3], centre[r], 1e-12);
    PatchPose mirrored;
    mirrored.flip = {false, true, false};
    mirrored.zoom = 2;
    const PatchMap flip = patchMap(place, {5, 5, 5}, {1, 1, 1}, mirrored);
    EXPECT_NEAR(flip[1][1], -0.5, 1e-12);
    EXPECT_NEAR(flip[0][0], 0.5, 1e-12);
}

TEST(VolumeDisplacement, IsBoundedSmoothAndNeverFolds) {
    Random random(5);
    const Index3 size{24, 20, 16};
    const VolumeDisplacement displacement(size, 6, 10, random);
    EXPECT_DOUBLE_EQ(displacement.limit(), 0.4 * 6);
    double largest = 0;
    std::vector<std::vector<float>> rows;
    for (std::int64_t z = 0; z < 16; ++z)
        for (std::int64_t y = 0; y < 20; ++y) {
            std::vector<float> x(24, 0), dy(24, 0), dz(24, 0);
            displacement.addRow(y, z, x.data(), dy.data(), dz.data());
            for (std::size_t i = 0; i < 24; ++i) {
                for (const float d : {x[i], dy[i], dz[i]}) largest = std::max<double>(largest, std::abs(d));
                // Positions along a row keep their order.
                if (i > 0) {
                    EXPECT_GT(1 + x[i] - x[i - 1], 0);
                }
            }
        }
    EXPECT_LE(largest, displacement.limit() + 1e-6);
    EXPECT_GT(largest, 0.2);
}

TEST_F(Patches, LabelsAreNeverInvented) {
    AugmentationSettings settings;
    settings.enabled = true;
    settings.probability = settings.effectProbability = 1;
    settings.elastic = 0.05;
    settings.blur = 1;
    settings.lowResolution = 0.5;
    settings.flipHorizontal = settings.flipVertical = settings.flipDepth = true;
    PatchSample sample;
    for (std::uint64_t i = 0; i < 20; ++i) {
        Random random(1, i);
        readTrainingPatch(*cache, {0, {0, 0, 0}}, {16, 16, 16}, settings, random, sample);
        for (const std::uint16_t label : sample.labels) ASSERT_LE(label, 1);
        for (const float value : sample.image) ASSERT_TRUE(value >= 0 && value <= 1);
        // 216 voxels of the corner, zoomed by up to 1.15: the liver neither vanishes nor takes over.
        const auto liver = std::count(sample.labels.begin(), sample.labels.end(), 1);
        EXPECT_LT(liver, 216 * 2);
    }
}

TEST(PatchIntensity, BlurAndLowResolutionKeepConstantsAndMeans) {
    const Index3 size{12, 10, 8};
    std::vector<float> flat(960, 0.25F);
    blurPatch(flat, size, 1.5);
    for (const float value : flat) ASSERT_NEAR(value, 0.25, 1e-6);
    lowerPatchResolution(flat, size, 0.5);
    for (const float value : flat) ASSERT_NEAR(value, 0.25, 1e-6);
    // An impulse in the middle: the Gaussian of sigma 1 cut at 3 sigma has exp(-1/2) as ratio of neighbours.
    std::vector<float> impulse(960, 0.0F);
    impulse[static_cast<std::size_t>(6 + 12 * (5 + 10 * 4))] = 1;
    blurPatch(impulse, size, 1);
    const auto at = [&](int x, int y, int z) { return impulse[static_cast<std::size_t>(x + 12 * (y + 10 * z))]; };
    EXPECT_NEAR(at(7, 5, 4) / at(6, 5, 4), std::exp(-0.5), 1e-5);
    EXPECT_NEAR(at(6, 5, 5) / at(6, 5, 4), std::exp(-0.5), 1e-5);
    EXPECT_NEAR(at(6, 6, 5) / at(6, 5, 4), std::exp(-1.0), 1e-5);
}

PatchLoader loaderOf(const VolumeCache& cache, int workers, bool augmented) {
    PatchLoaderSettings settings;
    settings.size = {16, 16, 8};
    settings.batchSize = 3;
    settings.workers = workers;
    settings.seed = 9;
    settings.augmentation.enabled = augmented;
    PatchSampling sampling{settings.size, 4, 0.5, settings.seed};
    return PatchLoader(
        cache,
        [&cache, sampling](std::uint64_t epoch) {
            return drawPatches(cache, {0, 1}, sampling, epoch);
        },
        settings);
}

TEST_F(Patches, BatchesDependOnSeedAndEpochOnly) {
    PatchLoader one = loaderOf(*cache, 1, true), three = loaderOf(*cache, 3, true);
    EXPECT_EQ(one.batchesPerEpoch(), 3);  // 8 patches: 3, 3, 2
    std::vector<PatchBatch> first;
    one.startEpoch(2);
    while (auto batch = one.next()) first.push_back(std::move(*batch));
    ASSERT_EQ(first.size(), 3U);
    EXPECT_EQ(first[2].count, 2);
    EXPECT_EQ(first[0].images.size(), 3U * 16 * 16 * 8);
    EXPECT_EQ(first[0].labels8.size(), 3U * 16 * 16 * 8);
    // With other workers, and begun at the second batch as after a resume.
    three.startEpoch(2, 1);
    for (std::size_t i = 1; i < 3; ++i) {
        const auto batch = three.next();
        ASSERT_TRUE(batch);
        EXPECT_EQ(batch->images, first[i].images);
        EXPECT_EQ(batch->labels8, first[i].labels8);
    }
    EXPECT_FALSE(three.next());
    three.startEpoch(3);
    EXPECT_NE(three.next()->images, first[0].images);
}

TEST_F(Patches, TheLoaderRefusesWhatCannotBe) {
    PatchLoaderSettings settings;
    const auto none = [](std::uint64_t) { return std::vector<PatchPlace>(); };
    EXPECT_THROW(PatchLoader(*cache, none, settings), UsageError);
    settings.workers = 0;
    EXPECT_THROW(PatchLoader(
                     *cache, [](std::uint64_t) { return std::vector<PatchPlace>(1); }, settings),
                 UsageError);
}

}  // namespace
}  // namespace medseg
