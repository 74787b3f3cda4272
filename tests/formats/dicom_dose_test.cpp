// Dose grids of radiotherapy (RT Dose): frames at listed offsets, values in gray by a scaling factor.
#include <gmock/gmock.h>

#include "dicom_writer.h"
#include "io/temporary_folder.h"
#include "medseg/io/image_file.h"
#include "refusal.h"

namespace medseg {
namespace {

using test::Elements;
using testing::HasSubstr;

constexpr const char* kDoseClass = "1.2.840.10008.5.1.4.1.1.481.2";

/// 3 x 2 pixels of 4 x 5 mm; frame f holds 1000 f + its pixel number.
void writeDose(const std::filesystem::path& path, const std::vector<double>& offsets, double scaling) {
    std::vector<std::uint8_t> bytes;
    for (std::size_t frame = 0; frame < offsets.size(); ++frame)
        for (std::size_t pixel = 0; pixel < 6; ++pixel) {
            const std::size_t value = 1000 * frame + pixel;
            bytes.push_back(static_cast<std::uint8_t>(value & 0xff));
            bytes.push_back(static_cast<std::uint8_t>(value >> 8));
        }
    Elements all;
    all.text(0x0008, 0x0060, "RTDOSE")
        .text(0x0020, 0x000e, "1.2.3.6")
        .numbers(0x0020, 0x0032, {-10, 20, 30})
        .numbers(0x0020, 0x0037, {1, 0, 0, 0, 1, 0})
        .shorts(0x0028, 0x0002, {1})
        .text(0x0028, 0x0004, "MONOCHROME2")
        .text(0x0028, 0x0008, std::to_string(offsets.size()))
        .shorts(0x0028, 0x0010, {2})
        .shorts(0x0028, 0x0011, {3})
        .numbers(0x0028, 0x0030, {5, 4})
        .shorts(0x0028, 0x0100, {16})
        .shorts(0x0028, 0x0101, {16})
        .shorts(0x0028, 0x0102, {15})
        .shorts(0x0028, 0x0103, {0})
        .text(0x3004, 0x0002, "GY")
        .numbers(0x3004, 0x000c, offsets)
        .numbers(0x3004, 0x000e, {scaling})
        .bytes(0x7fe0, 0x0010, bytes);
    writeDicom(path, kDoseClass, "1.2.3.6.1", all);
}

TEST(DicomDose, valuesAndPlaces) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "dose.dcm";
    writeDose(file, {0, 2.5, 5}, 0.001);
    const Volume<float> dose = readImage(file);
    EXPECT_EQ(dose.size(), (Index3{3, 2, 3}));
    EXPECT_THAT(dose.geometry().spacing(), testing::Pointwise(testing::DoubleNear(1e-9), {4.0, 5.0, 2.5}));
    // LPS (-10, 20, 30) is RAS (10, -20, 30); columns run to the left, rows to posterior.
    EXPECT_THAT(dose.geometry().voxelToWorld({2, 1, 2}), testing::Pointwise(testing::DoubleNear(1e-9), {2.0, -25.0, 35.0}));
    EXPECT_NEAR(dose(2, 1, 2), 2.005, 1e-6);
    EXPECT_NEAR(dose(1, 0, 1), 1.001, 1e-6);
    EXPECT_THAT(readImageHeader(file).format, HasSubstr("RTDOSE"));
}

TEST(DicomDose, offsetsMayBePlacesAndRunDown) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "dose.dcm";
    writeDose(file, {30, 33, 36}, 1);  // the first is the place of the first frame itself
    EXPECT_THAT(readImage(file).geometry().voxelToWorld({0, 0, 2}),
                testing::Pointwise(testing::DoubleNear(1e-9), {10.0, -20.0, 36.0}));
    writeDose(file, {0, -3, -6}, 1);
    const Volume<float> dose = readImage(file);
    const Vec3 last = dose.geometry().worldToVoxel({10, -20, 24});
    EXPECT_EQ(dose(0, 0, static_cast<std::int64_t>(last[2] + 0.5)), 2000);
    EXPECT_NEAR(dose.geometry().spacing()[2], 3, 1e-9);
}

TEST(DicomDose, unevenFramesAreRefused) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "dose.dcm";
    writeDose(file, {0, 2.5, 10}, 0.001);
    EXPECT_THAT(test::refusalOf([&] { readImage(file); }), HasSubstr("uneven"));
}

}  // namespace
}  // namespace medseg
