// A real CT series against what was read with other software (example_ct_dicom_expected.json).
#include <cmath>
#include <cstdio>
#include <fstream>

#include "io/temporary_folder.h"
#include "medseg/io/image_file.h"
#include "parity/data/fixture.h"

namespace medseg {
namespace {

using nlohmann::json;

constexpr double kAffineTolerance = 1e-4;  // README of the fixtures
constexpr double kMeanTolerance = 1e-9;    // relative; sums of integers in double

/// The path in `variable`, or the test is skipped.
#define REQUIRE_DICOM(variable, name)                                   \
    if (MEDSEG_HAS_FORMATS == 0) GTEST_SKIP() << "built without DICOM"; \
    MEDSEG_REQUIRE_FIXTURE(variable, name)

struct Fixture {
    std::filesystem::path folder;
    json expected;
};

Fixture openFixture() {
    const std::filesystem::path place = fixtureFolder("data/totalsegmentator");
    return {place / "example_ct_dicom", readJson(place / "example_ct_dicom_expected.json")};
}

struct Statistics {
    double min = INFINITY, max = -INFINITY, mean = 0;
};

Statistics statisticsOf(const AnyVolume& any, std::int64_t firstSlice, std::int64_t slices) {
    return std::visit(
        [&](const auto& volume) {
            Statistics result;
            const std::int64_t count = volume.nx() * volume.ny() * slices;
            const auto* voxels = volume.slice(firstSlice).data;
            for (std::int64_t i = 0; i < count; ++i) {
                const double value = static_cast<double>(voxels[i]);
                result.min = std::min(result.min, value);
                result.max = std::max(result.max, value);
                result.mean += value / static_cast<double>(count);
            }
            return result;
        },
        any);
}

/// By the system's own program.
std::string sha256Of(const AnyVolume& any, const TemporaryFolder& folder) {
    const auto file = std::visit(
        [&](const auto& volume) {
            const auto* first = reinterpret_cast<const std::uint8_t*>(volume.data());
            return folder.write("voxels", {first, first + volume.voxels().size_bytes()});
        },
        any);
    const std::string command = "sha256sum '" + file.string() + "'";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return "sha256sum does not run";
    char text[65] = {};
    const std::size_t length = std::fread(text, 1, 64, pipe);
    ::pclose(pipe);
    return {text, length};
}

TEST(DicomSeries, matchesOtherReaders) {
    REQUIRE_DICOM(present, "data/totalsegmentator/example_ct_dicom");
    const auto [folder, expected] = openFixture();
    const StoredImage image = readStoredImage(folder);
    const Geometry& geometry = image.header.geometry;
    for (std::size_t axis = 0; axis < 3; ++axis)
        EXPECT_EQ(geometry.size()[axis], expected["shape_col_row_slice"][axis].get<std::int64_t>());
    for (std::size_t row = 0; row < 4; ++row)
        for (std::size_t column = 0; column < 4; ++column)
            EXPECT_NEAR(geometry.affine()[row][column], expected["affine_ras_ascending_z"][row][column].get<double>(),
                        kAffineTolerance)
                << row << "," << column;
    EXPECT_NEAR(geometry.spacing()[2], expected["slice_spacing_from_positions"].get<double>(), kAffineTolerance);

    ASSERT_TRUE(std::holds_alternative<Volume<std::int16_t>>(image.voxels)) << image.header.storedType;
    const Statistics hu = statisticsOf(image.voxels, 0, geometry.nz());
    EXPECT_EQ(hu.min, expected["hu_min"].get<double>());
    EXPECT_EQ(hu.max, expected["hu_max"].get<double>());
    EXPECT_NEAR(hu.mean, expected["hu_mean"].get<double>(), kMeanTolerance * std::abs(hu.mean));
    EXPECT_EQ(sha256Of(image.voxels, TemporaryFolder()), expected["sha256_int16_le_forder_ascending_z"]);
}

TEST(DicomSeries, slicesLieInTheOrderOfTheirPositions) {
    REQUIRE_DICOM(present, "data/totalsegmentator/example_ct_dicom");
    const auto [folder, expected] = openFixture();
    const StoredImage image = readStoredImage(folder);
    const double slope = expected["rescale_slope"], inter = expected["rescale_intercept"];
    std::int64_t k = 0;
    for (const json& slice : expected["slices_ascending_z"]) {
        SCOPED_TRACE(slice["file"]);
        const double z = image.header.geometry.voxelToWorld({0, 0, static_cast<double>(k)})[2];
        EXPECT_NEAR(z, slice["z"].get<double>(), kAffineTolerance);
        const Statistics values = statisticsOf(image.voxels, k, 1);
        EXPECT_EQ(values.min, slice["stored_min"].get<double>() * slope + inter);
        EXPECT_EQ(values.max, slice["stored_max"].get<double>() * slope + inter);
        EXPECT_NEAR(values.mean, slice["stored_mean"].get<double>() * slope + inter, 1e-6);
        const ImageHeader single = readImageHeader(folder / slice["file"].get<std::string>());
        EXPECT_EQ(single.geometry.nz(), 1);
        EXPECT_NEAR(single.geometry.affine()[2][3], z, kAffineTolerance);
        ++k;
    }
}

TEST(DicomSeries, liesUnderItsSegmentation) {
    REQUIRE_DICOM(present, "data/totalsegmentator/example_seg_dicom.nii.gz");
    const auto [folder, expected] = openFixture();
    const Geometry image = readImageHeader(folder).geometry, labels = readImageHeader(present).geometry;
    for (std::size_t row = 0; row < 4; ++row)
        for (std::size_t column = 0; column < 4; ++column)
            EXPECT_NEAR(labels.affine()[row][column], expected["example_seg_dicom_affine"][row][column].get<double>(),
                        kAffineTolerance);
    // dcm2niix, which the segmentation went through, turns the rows round: the same places, counted from the other end.
    for (const Index3 voxel :
         {Index3{0, 0, 0}, Index3{5, image.ny() - 1, 3}, Index3{image.nx() - 1, 7, image.nz() - 1}}) {
        const Vec3 world = image.voxelToWorld(
            {static_cast<double>(voxel[0]), static_cast<double>(voxel[1]), static_cast<double>(voxel[2])});
        const Vec3 found = labels.worldToVoxel(world);
        EXPECT_NEAR(found[0], static_cast<double>(voxel[0]), 1e-3);
        EXPECT_NEAR(found[1], static_cast<double>(image.ny() - 1 - voxel[1]), 1e-3);
        EXPECT_NEAR(found[2], static_cast<double>(voxel[2]), 1e-3);
    }
}

}  // namespace
}  // namespace medseg
