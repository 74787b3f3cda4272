#include "medseg/report/prepared_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/medsam_preparation.h"
#include "medseg/dataset/sam3d_preparation.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

/// The bytes of values of one type.
template <typename T>
std::vector<std::uint8_t> bytesOf(const std::vector<T>& values) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(values.data());
    return {first, first + values.size() * sizeof(T)};
}

class PreparedFiles : public testing::Test {
  protected:
    TemporaryFolder folder_;
    fs::path root_ = folder_.path();
};

TEST_F(PreparedFiles, MedsamVolume) {
    std::vector<std::uint8_t> pixels(24), labels(24, 0);
    for (std::size_t i = 0; i < 24; ++i) pixels[i] = static_cast<std::uint8_t>(i);
    labels[23] = 7;
    const fs::path path = root_ / "a.npz";
    writeNpz(path, {{"imgs", {NpyType::U8, {2, 3, 4}, pixels}},
                    {"gts", {NpyType::U8, {2, 3, 4}, labels}},
                    {"spacing", {NpyType::F64, {3}, bytesOf<double>({0.5, 0.7, 3})}}});
    const auto picture = readPreparedFile(path);
    ASSERT_TRUE(picture);
    EXPECT_EQ(picture->image.size(), (Index3{4, 3, 2}));
    EXPECT_EQ(picture->image(1, 2, 1), 21);
    ASSERT_TRUE(picture->labels);
    EXPECT_EQ(picture->labels->at(3, 2, 1), 7);
    EXPECT_THAT(picture->image.geometry().spacing(), testing::Pointwise(testing::DoubleEq(), {0.5, 0.7, 3.0}));
    EXPECT_EQ(picture->overlay().name, "a");
    writeNpz(path, {{"imgs", {NpyType::U8, {24}, pixels}}});
    EXPECT_THROW(readPreparedFile(path), DataError);
}

TEST_F(PreparedFiles, MedsamSliceWithSmallerLabels) {
    createDirectories(root_ / "imgs");
    createDirectories(root_ / "gts");
    std::vector<std::uint8_t> pixels;
    for (int i = 0; i < 16; ++i) pixels.insert(pixels.end(), 3, static_cast<std::uint8_t>(i));
    writeNpy(root_ / "imgs/a-000.npy", {NpyType::U8, {4, 4, 3}, pixels});
    writeNpy(root_ / "gts/a-000.npy", {NpyType::U8, {2, 2}, {1, 2, 3, 4}});
    const auto picture = readPreparedFile(root_ / "imgs/a-000.npy");
    ASSERT_TRUE(picture && picture->labels);
    EXPECT_EQ(picture->image(3, 1, 0), 7);
    EXPECT_EQ(picture->labels->at(1, 1, 0), 1);
    EXPECT_EQ(picture->labels->at(2, 1, 0), 2);
    EXPECT_EQ(picture->labels->at(0, 3, 0), 3);
}

TEST_F(PreparedFiles, Sam3dSliceAndDistances) {
    const Geometry grid = Geometry::axisAligned({2, 3, 4}, {1, 1, 1});  // k, j, i
    Sam3dVolume volume{Volume<float>(grid, 1.0F), Volume<std::uint8_t>(grid, 0)};
    volume.image(1, 2, 3) = 9;
    volume.labels(1, 2, 3) = 5;
    writeSam3dSlice(root_ / "a.npz", sam3dSlice(volume, 2, 1, PointmapRule::Exact), volume.affine(), "a_sdf.npy");
    const auto slice = readPreparedFile(root_ / "a.npz");
    ASSERT_TRUE(slice && slice->labels);
    EXPECT_EQ(slice->image.size(), (Index3{3, 4, 1}));  // columns j, rows i
    EXPECT_EQ(slice->image(2, 3, 0), 9);
    EXPECT_EQ(slice->labels->at(2, 3, 0), 5);
    EXPECT_EQ(NpzFile(root_ / "a.npz").readText("gt_sdf_path"), "a_sdf.npy");
    EXPECT_THROW(NpzFile(root_ / "a.npz").readText("mask"), DataError);

    std::vector<float> distances(48, 2.0F);
    distances[24 + (3 * 3 + 2) * 2 + 1] = -1;  // class 2 at i 3, j 2, k 1
    writeNpy(root_ / "a_sdf.npy", {NpyType::F32, {2, 4, 3, 2}, bytesOf(distances)});
    const auto picture = readPreparedFile(root_ / "a_sdf.npy");
    ASSERT_TRUE(picture && picture->labels);
    EXPECT_EQ(picture->labels->at(2, 3, 1), 2);
    EXPECT_EQ(picture->image(2, 3, 1), -1);
    EXPECT_EQ(picture->labels->countVoxels()[2], 1);
}

TEST_F(PreparedFiles, LeavesOtherFilesAlone) {
    writeNpy(root_ / "a.npy", {NpyType::U8, {2, 2, 2}, std::vector<std::uint8_t>(8)});
    EXPECT_FALSE(readPreparedFile(root_ / "a.npy"));
    writeNpz(root_ / "a.npz", {{"x", {NpyType::U8, {2}, {1, 2}}}});
    EXPECT_FALSE(readPreparedFile(root_ / "a.npz"));
    EXPECT_FALSE(readPreparedFile(root_ / "missing.npz"));
}

}  // namespace
}  // namespace medseg
