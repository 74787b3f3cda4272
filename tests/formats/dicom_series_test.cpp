// DICOM series: order, spacing, tilt, gaps, repeats, choice of series, scaling, compression, multi-frame files.
#include <cmath>

#include <gmock/gmock.h>

#include "dicom_writer.h"
#include "io/temporary_folder.h"
#include "medseg/base/files.h"
#include "medseg/dataset/image_inputs.h"
#include "medseg/io/image_file.h"
#include "medseg/io/image_summary.h"
#include "refusal.h"

namespace medseg {
namespace {

using test::Elements;
using test::Slice;
using test::writeSlice;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

std::string refusal(const std::filesystem::path& path, const ReadOptions& options = {}) {
    return test::refusalOf([&] { readStoredImage(path, options); });
}

/// `count` slices 2.5 mm apart, numbered against their order in space; slice k is filled with 100 * k.
void writeSeries(const std::filesystem::path& folder, int count, Slice slice = {}) {
    std::filesystem::create_directories(folder);
    const Vec3 first = slice.position;
    for (int k = 0; k < count; ++k) {
        slice.position = {first[0], first[1], first[2] + 2.5 * k};
        slice.fill = static_cast<std::uint16_t>(100 * k);
        slice.instanceNumber = count - k;
        writeSlice(folder / (slice.series + "-" + std::to_string(count - k)), slice);
    }
}

const Volume<std::int16_t>& shorts(const StoredImage& image) {
    return std::get<Volume<std::int16_t>>(image.voxels);
}

TEST(DicomSeries, slicesAreOrderedByPositionAndFlippedToRas) {
    const TemporaryFolder folder;
    Slice slice;
    slice.position = {10, 20, -30};
    slice.pixels = {1, 2, 3, 4, 5, 6, 7};
    writeSeries(folder.path(), 4, slice);
    const StoredImage image = readStoredImage(folder.path());
    const auto& volume = shorts(image);
    EXPECT_EQ(volume.size(), (Index3{6, 4, 4}));
    for (std::int64_t k = 0; k < 4; ++k) EXPECT_EQ(volume(5, 3, k), 100 * k - 1024);
    EXPECT_EQ(volume(0, 1, 0), 7 - 1024);
    // PS3.3, C.7.6.2.1.1: column 1 lies half a millimetre further left, row 1 0.75 mm further posterior.
    EXPECT_EQ(volume.geometry().voxelToWorld({0, 0, 0}), (Vec3{-10, -20, -30}));
    EXPECT_EQ(volume.geometry().voxelToWorld({1, 1, 1}), (Vec3{-10.5, -20.75, -27.5}));
    EXPECT_THAT(image.header.notes, Contains(HasSubstr("test series")));
}

TEST(DicomSeries, obliqueSlicesKeepTheirPlaces) {
    const TemporaryFolder folder;
    const double c = std::cos(0.3), s = std::sin(0.3);
    const Vec3 normal{s, 0, c};  // of rows along (c, 0, -s) and columns along y
    for (int k = 0; k < 3; ++k) {
        Slice slice;
        slice.orientation = {c, 0, -s, 0, 1, 0};
        slice.position = {1 + 3 * k * normal[0], 2, 3 + 3 * k * normal[2]};
        slice.fill = static_cast<std::uint16_t>(k);
        writeSlice(folder.path() / std::to_string(9 - k), slice);
    }
    const StoredImage image = readStoredImage(folder.path());
    const Geometry& geometry = image.header.geometry;
    EXPECT_NEAR(geometry.spacing()[2], 3, 1e-8);
    const Vec3 world = geometry.voxelToWorld({2, 1, 2});
    EXPECT_NEAR(world[0], -(1 + 2 * 0.5 * c + 6 * normal[0]), 1e-6);
    EXPECT_NEAR(world[1], -(2 + 0.75), 1e-6);
    EXPECT_NEAR(world[2], 3 - 2 * 0.5 * s + 6 * normal[2], 1e-6);
    EXPECT_EQ(shorts(image)(2, 1, 2), 2 - 1024);
    EXPECT_THAT(image.header.notes, testing::Not(Contains(HasSubstr("tilt"))));
}

TEST(DicomSeries, gantryTiltIsAShear) {
    const TemporaryFolder folder;
    for (int k = 0; k < 4; ++k) {
        Slice slice;
        slice.position = {0, k * 2.0 * std::tan(0.2), k * 2.0};
        writeSlice(folder.path() / std::to_string(k), slice);
    }
    const ImageHeader header = readImageHeader(folder.path());
    EXPECT_THAT(header.notes, Contains(HasSubstr("gantry tilt 11.46 degrees")));
    const Vec3 world = header.geometry.voxelToWorld({0, 0, 3});
    EXPECT_NEAR(world[1], -6 * std::tan(0.2), 1e-6);
    EXPECT_NEAR(world[2], 6, 1e-6);
}

TEST(DicomSeries, gapsAreReportedWithTheirPlaces) {
    const TemporaryFolder folder;
    writeSeries(folder.path(), 8);
    std::filesystem::remove(folder.path() / "1.2.3.1-4");  // at 10 mm
    EXPECT_THAT(refusal(folder.path()), AllOf(HasSubstr("5 mm between (0, 0, 7.5) and (0, 0, 12.5) (1 missing)"),
                                              HasSubstr("--allow-gaps"), HasSubstr(folder.path().string())));
    ReadOptions options;
    options.allowGaps = true;
    const StoredImage image = readStoredImage(folder.path(), options);
    EXPECT_EQ(image.header.geometry.nz(), 8);
    EXPECT_NEAR(image.header.geometry.spacing()[2], 2.5, 1e-9);
    for (std::int64_t k = 0; k < 8; ++k) EXPECT_EQ(shorts(image)(0, 0, k), 100 * k - 1024);  // between 300 and 500: 400
    EXPECT_THAT(image.header.notes, Contains(HasSubstr("8 slices of 7")));
}

TEST(DicomSeries, roundedPositionsAreNoGaps) {
    const TemporaryFolder folder;
    const double rounded[] = {0, 1.3, 2.5, 3.8, 5};  // 1.25 mm, written with one decimal
    for (int k = 0; k < 5; ++k) {
        Slice slice;
        slice.position[2] = rounded[k];
        writeSlice(folder.path() / std::to_string(k), slice);
    }
    EXPECT_NEAR(readImageHeader(folder.path()).geometry.spacing()[2], 1.25, 1e-9);
}

TEST(DicomSeries, copiesCountOnceAndRivalsAreRefused) {
    const TemporaryFolder folder;
    writeSeries(folder.path(), 3);
    std::filesystem::copy_file(folder.path() / "1.2.3.1-2", folder.path() / "copy");
    EXPECT_EQ(readImageHeader(folder.path()).geometry.nz(), 3);
    Slice rival;
    rival.position[2] = 2.5;
    writeSlice(folder.path() / "rival", rival);
    EXPECT_THAT(refusal(folder.path()), HasSubstr("2 different images at position (0, 0, 2.5)"));
}

TEST(DicomSeries, severalTimesAtEachPlaceAreVolumes) {
    const TemporaryFolder folder;
    for (int time = 0; time < 2; ++time)
        for (int k = 0; k < 3; ++k) {
            Slice slice;
            slice.position[2] = k;
            slice.instanceNumber = 10 * time + k;
            slice.fill = static_cast<std::uint16_t>(100 * time + k);
            writeSlice(folder.path() / (std::to_string(k) + std::to_string(1 - time)), slice);
        }
    EXPECT_EQ(readImageHeader(folder.path()).shape, (std::vector<std::int64_t>{6, 4, 3, 2}));
    EXPECT_THAT(refusal(folder.path()), HasSubstr("2 volumes"));
    ReadOptions second;
    second.volumeIndex = 1;
    const StoredImage image = readStoredImage(folder.path(), second);
    EXPECT_EQ(shorts(image)(0, 0, 2), 102 - 1024);
    EXPECT_EQ(summarizeImage(folder.path()).statistics.max, 102 - 1024);
}

TEST(DicomSeries, aFolderWithSeveralSeriesAsksWhich) {
    const TemporaryFolder folder;
    Slice second;
    second.series = "1.2.3.2";
    second.seriesNumber = 7;
    writeSeries(folder.path(), 2, second);
    writeSeries(folder.path(), 3);
    EXPECT_THAT(refusal(folder.path()),
                AllOf(HasSubstr("2 series"), HasSubstr("1: CT \"test series\" (3 images, 1.2.3.1)"),
                      HasSubstr("2: CT \"test series\" (2 images, 1.2.3.2)"), HasSubstr("--series")));
    for (const char* name : {"2", "1.2.3.2"}) {
        ReadOptions options;
        options.series = name;
        EXPECT_EQ(readImageHeader(folder.path(), options).geometry.nz(), 2);
        EXPECT_EQ(readImageHeader(folder.path() / name).geometry.nz(), 2);
        EXPECT_EQ(readImage(folder.path() / name).nz(), 2);
    }
    ReadOptions third;
    third.series = "3";
    EXPECT_THAT(refusal(folder.path(), third), HasSubstr("no series 3"));
    const ImageInputs inputs = findImageInputs(folder.path());
    EXPECT_EQ(inputs.files, (std::vector<std::filesystem::path>{folder.path() / "1.2.3.1", folder.path() / "1.2.3.2"}));
}

TEST(DicomSeries, foldersOfFoldersAreInputs) {
    const TemporaryFolder folder;
    writeSeries(folder.path() / "a", 2);
    Slice other;
    other.series = "1.2.3.2";
    writeSeries(folder.path() / "b" / "deep" / "er", 3, other);
    const ImageInputs inputs = findImageInputs(folder.path());
    EXPECT_EQ(inputs.files, (std::vector<std::filesystem::path>{folder.path() / "a", folder.path() / "b"}));
    EXPECT_TRUE(inputs.isFolder);
    EXPECT_EQ(readImageHeader(folder.path() / "b").geometry.nz(), 3);
    EXPECT_EQ(findImageInputs(folder.path() / "a").files, std::vector{folder.path() / "a"});
    EXPECT_FALSE(findImageInputs(folder.path() / "a").isFolder);
}

TEST(DicomSeries, whatDoesNotFitTogetherIsRefused) {
    const TemporaryFolder folder;
    writeSeries(folder.path(), 3);
    Slice odd;
    odd.position[2] = 7.5;
    odd.rows = 5;
    writeSlice(folder.path() / "odd", odd);
    EXPECT_THAT(refusal(folder.path()),
                AllOf(HasSubstr("different sizes"), HasSubstr("6x4 (3)"), HasSubstr("6x5 (1)")));
    odd.rows = 4;
    odd.orientation = {0, 1, 0, 0, 0, -1};
    writeSlice(folder.path() / "odd", odd);
    EXPECT_THAT(refusal(folder.path()), HasSubstr("different directions"));
    odd.orientation = {1, 0, 0, 0, 1, 0};
    odd.columnSpacing = 0.6;
    writeSlice(folder.path() / "odd", odd);
    EXPECT_THAT(refusal(folder.path()), HasSubstr("different pixel spacings"));
}

TEST(DicomSeries, slopesThatAreNotWholeStayOutsideTheVoxels) {
    const TemporaryFolder folder;
    Slice slice;
    slice.slope = 0.5;
    slice.inter = 3;
    writeSeries(folder.path() / "same", 3, slice);
    const StoredImage same = readStoredImage(folder.path() / "same");
    EXPECT_TRUE(same.header.hasScaling);
    EXPECT_EQ(same.header.storedType, "uint16");
    EXPECT_EQ(readImage(folder.path() / "same")(0, 0, 2), 103);

    for (int k = 0; k < 2; ++k) {  // as in PET: another slope on each slice
        slice.slope = 0.25 * (k + 1);
        slice.position[2] = k;
        slice.fill = 100;
        std::filesystem::create_directories(folder.path() / "each");
        writeSlice(folder.path() / "each" / std::to_string(k), slice);
    }
    const StoredImage each = readStoredImage(folder.path() / "each");
    EXPECT_FALSE(each.header.hasScaling);
    const auto& volume = std::get<Volume<float>>(each.voxels);
    EXPECT_EQ(volume(0, 0, 0), 28);
    EXPECT_EQ(volume(0, 0, 1), 53);
}

class Compression : public testing::TestWithParam<const char*> {};

TEST_P(Compression, givesTheSameVoxels) {
    const TemporaryFolder folder;
    std::filesystem::create_directories(folder.path() / "compressed");
    for (int k = 0; k < 3; ++k) {
        Slice slice;
        slice.columns = 64;
        slice.rows = 48;
        slice.position[2] = k;
        for (int i = 0; i < slice.columns * slice.rows; ++i)
            slice.pixels.push_back(static_cast<std::uint16_t>((i * i / 7 + 31 * k) % 4096));
        std::filesystem::create_directories(folder.path() / "plain");
        const std::string name = std::to_string(k);
        writeSlice(folder.path() / "plain" / name, slice);
        test::recompress(folder.path() / "plain" / name, folder.path() / "compressed" / name, GetParam());
    }
    const StoredImage plain = readStoredImage(folder.path() / "plain");
    const StoredImage compressed = readStoredImage(folder.path() / "compressed");
    EXPECT_TRUE(compressed.header.geometry.matches(plain.header.geometry));
    ASSERT_EQ(compressed.header.storedType, plain.header.storedType);
    EXPECT_TRUE(
        std::equal(shorts(plain).voxels().begin(), shorts(plain).voxels().end(), shorts(compressed).voxels().begin()));
}

INSTANTIATE_TEST_SUITE_P(TransferSyntaxes, Compression,
                         testing::Values("1.2.840.10008.1.2",       // implicit
                                         "1.2.840.10008.1.2.2",     // big endian
                                         "1.2.840.10008.1.2.4.57",  // JPEG lossless
                                         "1.2.840.10008.1.2.4.70",  // JPEG lossless, first order
                                         "1.2.840.10008.1.2.4.80",  // JPEG-LS
                                         "1.2.840.10008.1.2.4.90",  // JPEG 2000
                                         "1.2.840.10008.1.2.5"));   // RLE

TEST(DicomSeries, enhancedMultiFrameFilesAreVolumes) {
    const TemporaryFolder folder;
    std::vector<Elements> frames;
    std::vector<std::uint16_t> pixels;
    for (const int k : {2, 0, 1}) {
        Elements position, content, groups;
        position.numbers(0x0020, 0x0032, {5, 6, 7 + 1.5 * k});
        groups.sequence(0x0020, 0x9113, {position});
        frames.push_back(groups);
        for (int i = 0; i < 6; ++i) pixels.push_back(static_cast<std::uint16_t>(10 * k + i));
    }
    Elements orientation, measures, transformation, shared, all;
    orientation.numbers(0x0020, 0x0037, {1, 0, 0, 0, 1, 0});
    measures.numbers(0x0028, 0x0030, {2, 4}).numbers(0x0018, 0x0050, {9});
    transformation.numbers(0x0028, 0x1052, {-10}).numbers(0x0028, 0x1053, {2});
    shared.sequence(0x0020, 0x9116, {orientation})
        .sequence(0x0028, 0x9110, {measures})
        .sequence(0x0028, 0x9145, {transformation});
    all.text(0x0008, 0x0060, "CT")
        .text(0x0020, 0x000e, "1.2.3.4")
        .shorts(0x0028, 0x0002, {1})
        .text(0x0028, 0x0004, "MONOCHROME2")
        .text(0x0028, 0x0008, "3")
        .shorts(0x0028, 0x0010, {2})
        .shorts(0x0028, 0x0011, {3})
        .shorts(0x0028, 0x0100, {16})
        .shorts(0x0028, 0x0101, {16})
        .shorts(0x0028, 0x0102, {15})
        .shorts(0x0028, 0x0103, {1})
        .sequence(0x5200, 0x9229, {shared})
        .sequence(0x5200, 0x9230, frames)
        .shorts(0x7fe0, 0x0010, pixels);
    writeDicom(folder.path() / "enhanced.dcm", test::kEnhancedCtClass, "1.2.3.4.5", all);
    const StoredImage image = readStoredImage(folder.path() / "enhanced.dcm");
    EXPECT_EQ(image.header.geometry.size(), (Index3{3, 2, 3}));
    EXPECT_EQ(image.header.geometry.voxelToWorld({1, 1, 2}), (Vec3{-9, -8, 10}));
    const auto& volume = std::get<Volume<std::int32_t>>(image.voxels);  // twice 16 bits do not fit 16 bits
    EXPECT_EQ(volume(2, 1, 0), 2 * 5 - 10);
    EXPECT_EQ(volume(0, 0, 2), 2 * 20 - 10);
}

TEST(DicomFiles, truncatedOnesAreRefusedWhereverTheyEnd) {
    const TemporaryFolder folder;
    Slice slice;
    slice.columns = 32;
    slice.rows = 32;
    writeSlice(folder.path() / "plain.dcm", slice);
    for (const char* syntax : {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"}) {
        test::recompress(folder.path() / "plain.dcm", folder.path() / "whole.dcm", syntax);
        const std::string bytes = readTextFile(folder.path() / "whole.dcm");
        for (std::size_t length = 0; length + 10 < bytes.size(); length += 13) {
            folder.write("cut.dcm", {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)});
            EXPECT_THAT(refusal(folder.path() / "cut.dcm"), HasSubstr("cut.dcm")) << syntax << " " << length;
        }
    }
}

TEST(DicomFiles, damagedBytesNeverCrash) {
    const TemporaryFolder folder;
    writeSlice(folder.path() / "whole.dcm", {});
    const std::string bytes = readTextFile(folder.path() / "whole.dcm");
    for (std::size_t at = 132; at < bytes.size(); ++at)
        for (const char value : {'\xff', '\x00', '\x7f'}) {
            std::vector<std::uint8_t> damaged(bytes.begin(), bytes.end());
            damaged[at] = static_cast<std::uint8_t>(value);
            folder.write("damaged.dcm", damaged);
            refusal(folder.path() / "damaged.dcm");  // refused or read, as one line
        }
}

TEST(DicomFiles, sizesBeyondTheFileAreRefusedBeforeAllocation) {
    const TemporaryFolder folder;
    Elements huge;
    huge.text(0x0008, 0x0060, "CT")
        .shorts(0x0028, 0x0002, {1})
        .text(0x0028, 0x0004, "MONOCHROME2")
        .text(0x0028, 0x0008, "900000")
        .shorts(0x0028, 0x0010, {65535})
        .shorts(0x0028, 0x0011, {65535})
        .shorts(0x0028, 0x0100, {16})
        .shorts(0x0028, 0x0101, {16})
        .shorts(0x0028, 0x0102, {15})
        .shorts(0x0028, 0x0103, {0})
        .shorts(0x7fe0, 0x0010, {1, 2, 3});
    writeDicom(folder.path() / "huge.dcm", test::kCtClass, "1.2", huge);
    EXPECT_THAT(refusal(folder.path() / "huge.dcm"), HasSubstr("truncated"));
}

TEST(DicomFiles, whatIsNoImageIsRefused) {
    const TemporaryFolder folder;
    EXPECT_THAT(refusal(folder.path()), HasSubstr("without DICOM files"));
    folder.write("text.dcm", {'t', 'e', 'x', 't'});
    EXPECT_THAT(refusal(folder.path() / "text.dcm"), HasSubstr("not a DICOM file"));
    std::filesystem::remove(folder.path() / "text.dcm");
    Elements report;
    report.text(0x0008, 0x0060, "SR");
    writeDicom(folder.path() / "report.dcm", "1.2.840.10008.5.1.4.1.1.88.11", "1.2", report);
    EXPECT_THAT(refusal(folder.path() / "report.dcm"), HasSubstr("without an image"));
    EXPECT_THAT(refusal(folder.path()), HasSubstr("hold no images"));
}

}  // namespace
}  // namespace medseg
