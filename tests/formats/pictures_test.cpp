// TIFF and JPEG pictures.
#include <gmock/gmock.h>

#include "io/sample_volumes.h"
#include "io/temporary_folder.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"
#include "medseg/io/picture_file.h"
#include "refusal.h"

namespace medseg {
namespace {

template <typename T>
class Tiff : public testing::Test {};
using VoxelTypes = testing::Types<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                                  std::uint64_t, std::int64_t, float, double>;
TYPED_TEST_SUITE(Tiff, VoxelTypes);

TYPED_TEST(Tiff, comesBack) {
    const TemporaryFolder folder;
    const Volume<TypeParam> volume = numbered<TypeParam>(Geometry({37, 23, 3}, identityAffine()));
    writeImage(folder.path() / "image.tif", volume.clone());
    const StoredImage image = readStoredImage(folder.path() / "image.tif");
    const auto* read = std::get_if<Volume<TypeParam>>(&image.voxels);
    ASSERT_NE(read, nullptr) << image.header.storedType;
    EXPECT_EQ(read->size(), volume.size());
    EXPECT_TRUE(std::equal(volume.voxels().begin(), volume.voxels().end(), read->voxels().begin()));
}

TEST(Jpeg, comesBackNearly) {
    const TemporaryFolder folder;
    Volume<std::uint8_t> volume(Geometry({40, 30, 1}, identityAffine()));
    for (std::int64_t y = 0; y < 30; ++y)
        for (std::int64_t x = 0; x < 40; ++x) volume(x, y, 0) = static_cast<std::uint8_t>(3 * x + 4 * y);
    writeImage(folder.path() / "image.jpg", volume.clone());
    const StoredImage image = readStoredImage(folder.path() / "image.jpg");
    const auto& read = std::get<Volume<std::uint8_t>>(image.voxels);
    ASSERT_EQ(read.size(), volume.size());
    for (std::int64_t i = 0; i < volume.voxelCount(); ++i) ASSERT_NEAR(read.data()[i], volume.data()[i], 6);
    EXPECT_THROW(writeImage(folder.path() / "b.jpg", Volume<float>(volume.geometry(), 0)), UsageError);
    EXPECT_THROW(writeImage(folder.path() / "b.jpg", Volume<std::uint8_t>(Geometry({4, 4, 2}, identityAffine()), 0)),
                 UsageError);
}

TEST(Pictures, pixelsOfGrayFilesOfAllKinds) {
    const TemporaryFolder folder;
    Volume<std::uint8_t> volume(Geometry({40, 30, 1}, identityAffine()));
    for (std::int64_t y = 0; y < 30; ++y)
        for (std::int64_t x = 0; x < 40; ++x) volume(x, y, 0) = static_cast<std::uint8_t>(3 * x + 4 * y);
    for (const std::string name : {"image.png", "image.tif", "image.jpg"}) {
        writeImage(folder.path() / name, volume.clone());
        const PngPixels pixels = readPicturePixels(folder.path() / name);
        ASSERT_EQ(pixels.width, 40) << name;
        ASSERT_EQ(pixels.height, 30) << name;
        ASSERT_EQ(pixels.bytes.size(), static_cast<std::size_t>(1200 * pixels.channels)) << name;
        for (std::int64_t i = 0; i < 1200; ++i)
            for (int c = 0; c < pixels.channels; ++c)
                ASSERT_NEAR(pixels.bytes[static_cast<std::size_t>(i * pixels.channels + c)], volume.data()[i],
                            name == "image.jpg" ? 6 : 0)
                    << name;
    }
    EXPECT_THROW(readPicturePixels(folder.path() / "missing.png"), DataError);
}

TEST(Pictures, damagedOnesAreRefusedWhereverTheyEnd) {
    const TemporaryFolder folder;
    for (const std::string name : {"image.tif", "image.jpg"}) {
        writeImage(folder.path() / name, numbered<std::uint8_t>(Geometry({60, 50, 1}, identityAffine())));
        const std::string bytes = readTextFile(folder.path() / name);
        for (std::size_t length = 0; length + 4 < bytes.size(); length += 37) {
            const auto cut =
                folder.write("cut-" + name, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)});
            EXPECT_NE(test::refusalOf([&] { readStoredImage(cut); }), "accepted") << length;
            EXPECT_NE(test::refusalOf([&] { readPicturePixels(cut); }), "accepted") << length;
        }
        for (std::size_t at = 0; at < bytes.size(); at += 3) {  // refused or read, never a crash
            std::vector<std::uint8_t> damaged(bytes.begin(), bytes.end());
            damaged[at] ^= 0x5a;
            const auto flip = folder.write("flip-" + name, damaged);
            test::refusalOf([&] { readStoredImage(flip); });
            test::refusalOf([&] { readPicturePixels(flip); });
        }
    }
}

}  // namespace
}  // namespace medseg
