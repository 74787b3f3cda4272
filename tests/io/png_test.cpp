#include "medseg/io/png.h"

#include <gmock/gmock.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

TEST(Png, graySlicesComeBack) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "a.png";
    Volume<std::uint16_t> wide(Geometry({5, 4, 1}, identityAffine()));
    for (std::int64_t i = 0; i < wide.voxelCount(); ++i) wide.data()[i] = static_cast<std::uint16_t>(i * 3000);
    writeImage(path, wide.clone());
    EXPECT_EQ(readImageHeader(path).storedType, "uint16");
    const StoredImage image = readStoredImage(path);
    const auto& read = std::get<Volume<std::uint16_t>>(image.voxels);
    EXPECT_TRUE(std::equal(read.voxels().begin(), read.voxels().end(), wide.voxels().begin()));
    Volume<std::uint8_t> narrow(Geometry({5, 4, 1}, identityAffine()), 77);
    writeImage(path, narrow.clone());
    EXPECT_EQ(std::get<Volume<std::uint8_t>>(readStoredImage(path).voxels)(4, 3, 0), 77);
}

TEST(Png, colourIsReadAsPixelsAndRefusedAsVolume) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "rgb.png";
    writePng(path, PngPixels{2, 1, 3, {255, 0, 0, 1, 2, 3}});
    EXPECT_EQ(readPngInfo(path).channels, 3);
    EXPECT_EQ(readPngPixels(path).bytes, (std::vector<std::uint8_t>{255, 0, 0, 1, 2, 3}));
    EXPECT_THROW(readPng(path), DataError);
}

TEST(Png, colourFilesOfGrayPixelsAreGray) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "gray.png";
    writePng(path, PngPixels{2, 1, 3, {9, 9, 9, 250, 250, 250}});
    const StoredImage image = readStoredImage(path);
    EXPECT_EQ(image.header.storedType, "uint8");
    EXPECT_EQ(std::get<Volume<std::uint8_t>>(image.voxels)(1, 0, 0), 250);
}

TEST(Png, onlySingleSlicesOfBytesFit) {
    const TemporaryFolder folder;
    EXPECT_THROW(writeImage(folder.path() / "a.png", Volume<std::uint8_t>(Geometry({2, 2, 2}, identityAffine()), 0)),
                 UsageError);
    EXPECT_THROW(writeImage(folder.path() / "a.png", Volume<float>(Geometry({2, 2, 1}, identityAffine()), 0)),
                 UsageError);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Png, damageIsAnErrorAndNeverACrash) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "a.png";
    writePng(path, PngPixels{30, 20, 1, std::vector<std::uint8_t>(600, 5)});
    const MappedFile file(path);
    const std::vector<std::uint8_t> bytes(file.bytes().begin(), file.bytes().end());
    for (std::size_t size = 0; size < bytes.size(); size += 3)
        EXPECT_THROW(readPng(folder.write("b.png", {bytes.begin(), bytes.begin() + static_cast<long>(size)})),
                     DataError)
            << size;
    for (std::size_t at = 0; at < bytes.size(); ++at)
        for (const int value : {0, 0x7f, 0xff}) {
            auto damaged = bytes;
            damaged[at] = static_cast<std::uint8_t>(value);
            try {
                readPng(folder.write("c.png", damaged));
            } catch (const DataError&) {
            }
        }
}

}  // namespace
}  // namespace medseg
