// NRRD and MetaImage: every voxel type and geometry comes back; headers written by hand are read as their formats say.
#include <cmath>

#include <gmock/gmock.h>

#include "medseg/base/files.h"
#include "medseg/io/image_file.h"
#include "refusal.h"
#include "sample_volumes.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

using testing::HasSubstr;

std::filesystem::path writeText(const TemporaryFolder& folder, const std::string& name, const std::string& text) {
    return folder.write(name, {text.begin(), text.end()});
}

std::string refusal(const std::filesystem::path& path) {
    const std::string message = test::refusalOf([&] { readStoredImage(path); });
    if (message != "accepted") {
        EXPECT_THAT(message, HasSubstr(path.parent_path().string()));
    }
    return message;
}

template <typename T>
class VolumeFormats : public testing::Test {};
using VoxelTypes = testing::Types<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                                  std::uint64_t, std::int64_t, float, double>;
TYPED_TEST_SUITE(VolumeFormats, VoxelTypes);

TYPED_TEST(VolumeFormats, comeBackFromEveryEnding) {
    const TemporaryFolder folder;
    const Volume<TypeParam> volume = numbered<TypeParam>(obliqueGeometry({7, 5, 3}));
    for (const char* ending : {".nrrd", ".nhdr", ".seg.nrrd", ".mha", ".mhd"}) {
        SCOPED_TRACE(ending);
        const auto path = folder.path() / (std::string("image") + ending);
        writeImage(path, volume.clone());
        const StoredImage image = readStoredImage(path);
        const auto* read = std::get_if<Volume<TypeParam>>(&image.voxels);
        ASSERT_NE(read, nullptr) << image.header.storedType;
        EXPECT_TRUE(read->geometry().matches(volume.geometry(), 1e-9));
        EXPECT_TRUE(std::equal(volume.voxels().begin(), volume.voxels().end(), read->voxels().begin()));
    }
}

TEST(Nrrd, headerWrittenByHand) {
    // From the format's definition: LPS directions are the columns, in the order of the axes; big endian, raw.
    const TemporaryFolder folder;
    const std::string header =
        "NRRD0004\r\n# comment\ntype: unsigned short\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 1 3\n"
        "space directions: (2,0,0) (0,0,-3) (0,4,0)\nkinds: domain domain domain\nendian: big\nencoding: raw\n"
        "space origin: (10,20,30)\nkey:=value\n\n";
    const std::string voxels{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 1, 0};
    const StoredImage image = readStoredImage(writeText(folder, "a.nrrd", header + voxels));
    const auto& volume = std::get<Volume<std::uint16_t>>(image.voxels);
    EXPECT_EQ(volume.size(), (Index3{2, 1, 3}));
    EXPECT_EQ(volume(1, 0, 0), 2);
    EXPECT_EQ(volume(1, 0, 2), 256);
    EXPECT_EQ(volume.geometry().voxelToWorld({0, 0, 0}), (Vec3{-10, -20, 30}));
    EXPECT_EQ(volume.geometry().voxelToWorld({1, 1, 1}), (Vec3{-12, -24, 27}));
}

TEST(Nrrd, rasSpaceIsNotFlipped) {
    const TemporaryFolder folder;
    const std::string header =
        "NRRD0004\ntype: uchar\ndimension: 3\nspace: RAS\nsizes: 1 1 1\nspace directions: (1,0,0) (0,2,0) (0,0,3)\n"
        "encoding: raw\nspace origin: (5,6,7)\n\n";
    const Geometry geometry = readImageHeader(writeText(folder, "a.nrrd", header + "x")).geometry;
    EXPECT_EQ(geometry.orientation(), "RAS");
    EXPECT_EQ(geometry.voxelToWorld({0, 0, 0}), (Vec3{5, 6, 7}));
}

TEST(Nrrd, layersOfSegmentsAreMerged) {
    const TemporaryFolder folder;
    const auto file = [&](char overlap) {
        const std::string header =
            "NRRD0004\ntype: uchar\ndimension: 4\nspace: LPS\nsizes: 2 3 1 1\n"
            "space directions: none (1,0,0) (0,1,0) (0,0,1)\nkinds: list domain domain domain\nencoding: raw\n"
            "space origin: (0,0,0)\nSegment0_Name:=liver\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n"
            "Segment0_Color:=1 0.5 0\nSegment1_Name:=tumour\nSegment1_LabelValue:=1\nSegment1_Layer:=1\n\n";
        return writeText(folder, "a.seg.nrrd", header + std::string{1, overlap, 0, 1, 0, 0});
    };
    const LabelMap labels = readLabelMap(file(0));
    EXPECT_EQ(labels.at(0, 0, 0), 1);
    EXPECT_EQ(labels.at(1, 0, 0), 2);
    EXPECT_EQ(labels.at(2, 0, 0), 0);
    EXPECT_EQ(labels.table().nameOf(2), "tumour");
    EXPECT_EQ(labels.table().colorOf(1), (Color{255, 128, 0}));

    const auto overlapping = file(1);
    EXPECT_THAT(refusal(overlapping), HasSubstr("\"liver\" and \"tumour\" overlap"));
    ReadOptions layer;
    layer.volumeIndex = 1;
    const LabelMap second = readLabelMap(overlapping, layer);
    EXPECT_EQ(second.at(0, 0, 0), 1);
    EXPECT_EQ(second.table().nameOf(1), "tumour");
}

TEST(Nrrd, labelTableComesBack) {
    const TemporaryFolder folder;
    LabelTable table;
    table.add({3, "left lung", {10, 20, 30}});
    table.add({700, "heart", {255, 0, 128}});
    Volume<std::uint16_t> voxels(obliqueGeometry({4, 4, 4}), 0);
    voxels(1, 2, 3) = 700;
    writeLabelMap(folder.path() / "a.seg.nrrd", LabelMap(std::move(voxels), table));
    const LabelMap read = readLabelMap(folder.path() / "a.seg.nrrd");
    EXPECT_EQ(read.at(1, 2, 3), 700);
    ASSERT_EQ(read.table().size(), 2u);
    EXPECT_EQ(read.table().nameOf(3), "left lung");
    EXPECT_EQ(read.table().colorOf(700), (Color{255, 0, 128}));
}

TEST(Nrrd, damagedFilesAreRefused) {
    const TemporaryFolder folder;
    const auto nrrd = [&](const std::string& sizes, const std::string& fields, const std::string& data) {
        return writeText(
            folder, "bad.nrrd",
            "NRRD0004\ntype: short\ndimension: 3\nsizes: " + sizes + "\nendian: little\n" + fields + "\n" + data);
    };
    const std::string raw = "encoding: raw\n";
    EXPECT_THAT(refusal(nrrd("2 2 2", raw, "123")), HasSubstr("truncated"));
    EXPECT_THAT(refusal(nrrd("2 2 2", "encoding: gzip\n", "123")), HasSubstr("gzip"));
    EXPECT_THAT(refusal(nrrd("100000 100000 100000", raw, "123")), HasSubstr("truncated"));
    EXPECT_THAT(refusal(nrrd("9999999999 9999999999 99999", raw, "123")), HasSubstr("impossible size"));
    EXPECT_THAT(refusal(nrrd("2 0 2", raw, "")), HasSubstr("impossible size"));
    EXPECT_THAT(refusal(nrrd("2 2", raw, "")), HasSubstr("do not agree"));
    EXPECT_THAT(refusal(nrrd("2 2 2", "encoding: bzip2\n", "")), HasSubstr("bzip2"));
    EXPECT_THAT(refusal(nrrd("2 2 2", "", "")), HasSubstr("encoding"));
    EXPECT_THAT(refusal(writeText(folder, "bad.nrrd", "NRRD0004\ntype: block\n\n")), HasSubstr("block"));
    EXPECT_THAT(refusal(writeText(folder, "bad.nrrd", "no header")), HasSubstr("magic"));
}

TEST(Nrrd, dataFilesOutsideTheFolderAreRefused) {
    const TemporaryFolder folder, other;
    writeText(other, "secret.raw", std::string(16, 'x'));
    writeText(folder, "inside.raw", std::string(16, 'x'));
    std::filesystem::create_symlink(other.path() / "secret.raw", folder.path() / "link.raw");
    const auto nhdr = [&](const std::string& data) {
        return writeText(
            folder, "a.nhdr",
            "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nendian: little\nencoding: raw\ndata file: " + data +
                "\n");
    };
    EXPECT_EQ(refusal(nhdr("inside.raw")), "accepted");
    EXPECT_THAT(refusal(nhdr((other.path() / "secret.raw").string())), HasSubstr("outside its folder"));
    EXPECT_THAT(refusal(nhdr("../" + other.path().filename().string() + "/secret.raw")),
                HasSubstr("outside its folder"));
    EXPECT_THAT(refusal(nhdr("link.raw")), HasSubstr("leads out"));
    EXPECT_THAT(refusal(nhdr("missing.raw")), HasSubstr("missing"));
    EXPECT_THAT(refusal(nhdr("LIST")), HasSubstr("several files"));
}

TEST(MetaImage, headerWrittenByHand) {
    // TransformMatrix lists the direction of each axis in turn (LPS).
    const TemporaryFolder folder;
    const std::string header =
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = True\nCompressedData = False\n"
        "TransformMatrix = 1 0 0 0 0 -1 0 1 0\nOffset = 10 20 30\nElementSpacing = 2 3 4\nDimSize = 2 1 3\n"
        "ElementType = MET_USHORT\nElementDataFile = LOCAL\n";
    const std::string voxels{0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 1, 0};
    const StoredImage image = readStoredImage(writeText(folder, "a.mha", header + voxels));
    const auto& volume = std::get<Volume<std::uint16_t>>(image.voxels);
    EXPECT_EQ(volume(1, 0, 2), 256);
    EXPECT_EQ(volume.geometry().voxelToWorld({0, 0, 0}), (Vec3{-10, -20, 30}));
    EXPECT_EQ(volume.geometry().voxelToWorld({1, 1, 1}), (Vec3{-12, -24, 27}));
}

TEST(MetaImage, damagedFilesAreRefused) {
    const TemporaryFolder folder;
    const auto mha = [&](const std::string& fields, const std::string& data) {
        return writeText(folder, "bad.mha", "ObjectType = Image\nNDims = 3\n" + fields + "\n" + data);
    };
    const std::string size = "DimSize = 2 2 2\nElementType = MET_SHORT\n", local = "ElementDataFile = LOCAL";
    EXPECT_THAT(refusal(mha(size + local, "123")), HasSubstr("truncated"));
    EXPECT_THAT(refusal(mha("DimSize = 2000000 2000000 2000000\nElementType = MET_SHORT\n" + local, "")),
                HasSubstr("impossible size"));
    EXPECT_THAT(refusal(mha("DimSize = 90000 90000 900\nElementType = MET_SHORT\n" + local, "")),
                HasSubstr("truncated"));
    EXPECT_THAT(refusal(mha("CompressedData = True\n" + size + local, "123")), HasSubstr("zlib"));
    EXPECT_THAT(refusal(mha(size, "")), HasSubstr("ElementDataFile"));
    EXPECT_THAT(refusal(mha(size + "ElementDataFile = /etc/passwd", "")), HasSubstr("outside its folder"));
    EXPECT_THAT(refusal(mha(size + "ElementDataFile = ../a.raw", "")), HasSubstr("outside its folder"));
    EXPECT_THAT(refusal(mha("DimSize = 2 2\nElementType = MET_SHORT\n" + local, "")), HasSubstr("do not agree"));
    EXPECT_THAT(refusal(mha("DimSize = 2 2 2\nElementType = MET_STRING\n" + local, "")), HasSubstr("MET_STRING"));
}

TEST(MetaImage, damagedCompressionIsNoticed) {
    const TemporaryFolder folder;
    writeImage(folder.path() / "a.mha", numbered<std::int16_t>(obliqueGeometry({20, 20, 20})));
    std::string bytes = readTextFile(folder.path() / "a.mha");
    writeText(folder, "cut.mha", bytes.substr(0, bytes.size() - 100));
    EXPECT_THAT(refusal(folder.path() / "cut.mha"), HasSubstr("truncated"));
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    writeText(folder, "flip.mha", bytes);
    EXPECT_THAT(refusal(folder.path() / "flip.mha"), HasSubstr("checksum"));
}

}  // namespace
}  // namespace medseg
