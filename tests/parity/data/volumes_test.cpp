// Valid files, ordinary and odd, against what nibabel reads (expected.json, volumes.json beside the files).
#include <cmath>
#include <fstream>

#include "medseg/base/error.h"
#include "medseg/io/image_file.h"
#include "parity/data/fixture.h"

namespace medseg {
namespace {

using nlohmann::json;

constexpr double kAffineTolerance = 1e-4;  // README of the fixtures: headers are float32
constexpr double kRelativeTolerance = 1e-6;

void expectAffine(const Geometry& geometry, const json& expected, const std::string& name) {
    for (std::size_t row = 0; row < 4; ++row)
        for (std::size_t column = 0; column < 4; ++column)
            EXPECT_NEAR(geometry.affine()[row][column], expected[row][column].get<double>(), kAffineTolerance)
                << name << " affine " << row << "," << column;
}

void expectClose(double actual, double expected, const std::string& what) {
    EXPECT_NEAR(actual, expected, kRelativeTolerance * std::max(1.0, std::abs(expected))) << what;
}

struct Statistics {
    double min = INFINITY, max = -INFINITY, sum = 0;
    std::int64_t count = 0;
};

/// Over the finite scaled values of all volumes, in double.
Statistics statisticsOf(const std::filesystem::path& path, int volumes) {
    Statistics result;
    for (int i = 0; i < volumes; ++i) {
        const StoredImage image = readStoredImage(path, {i});
        std::visit(
            [&](const auto& volume) {
                for (const auto stored : volume.voxels()) {
                    const double value = static_cast<double>(stored) * image.header.slope + image.header.inter;
                    if (!std::isfinite(value)) continue;
                    result.min = std::min(result.min, value);
                    result.max = std::max(result.max, value);
                    result.sum += value;
                    ++result.count;
                }
            },
            image.voxels);
    }
    return result;
}

double scaledVoxel(const StoredImage& image, std::int64_t x, std::int64_t y, std::int64_t z) {
    return std::visit(
        [&](const auto& v) { return static_cast<double>(v(x, y, z)) * image.header.slope + image.header.inter; },
        image.voxels);
}

void expectVoxels(const std::filesystem::path& path, const json& entry, int volumes) {
    const std::string name = entry["file"];
    const Statistics statistics = statisticsOf(path, volumes);
    expectClose(statistics.min, entry["min"], name + " min");
    expectClose(statistics.max, entry["max"], name + " max");
    expectClose(statistics.sum / static_cast<double>(statistics.count), entry["mean"], name + " mean");
    if (entry.contains("first8_forder")) {
        const StoredImage first = readStoredImage(path, {0});
        for (std::size_t i = 0; i < entry["first8_forder"].size(); ++i) {
            const auto& size = geometryOf(first.voxels).size();
            const auto at = static_cast<std::int64_t>(i);
            expectClose(scaledVoxel(first, at % size[0], at / size[0] % size[1], at / size[0] / size[1]),
                        entry["first8_forder"][i], name + " voxel");
        }
    }
    if (entry.contains("value_at_half_index")) {
        const auto index = entry["value_at_half_index"]["index"].get<std::vector<std::int64_t>>();
        const StoredImage image = readStoredImage(path, {index.size() > 3 ? static_cast<int>(index[3]) : 0});
        expectClose(scaledVoxel(image, index[0], index[1], index[2]), entry["value_at_half_index"]["value"],
                    name + " middle");
    }
}

TEST(OddFiles, readAsNibabelReadsThem) {
    MEDSEG_REQUIRE_FIXTURE(folder, "data/odd");
    for (const json& entry : readJson(folder / "expected.json")) {
        const std::string name = entry["file"];
        SCOPED_TRACE(name);
        const ImageHeader header = readImageHeader(folder / name);
        EXPECT_EQ(header.shape, entry["shape"].get<std::vector<std::int64_t>>());
        EXPECT_EQ(header.geometry.orientation(), entry["orientation"].get<std::string>());
        expectAffine(header.geometry, entry["affine"], name);
        if (entry.contains("channel_min")) {  // RGB: the header is readable, the voxels are an error that says so
            try {
                readStoredImage(folder / name);
                ADD_FAILURE() << "RGB voxels were accepted";
            } catch (const DataError& error) {
                EXPECT_NE(std::string(error.what()).find("RGB"), std::string::npos) << error.what();
            }
            continue;
        }
        EXPECT_EQ(header.storedType, entry["dtype"].get<std::string>());
        expectClose(header.slope, entry["slope"], "slope");
        expectClose(header.inter, entry["inter"], "inter");
        int volumes = 1;
        for (std::size_t i = 3; i < header.shape.size(); ++i) volumes *= static_cast<int>(header.shape[i]);
        if (volumes > 1) {
            EXPECT_THROW(readStoredImage(folder / name), DataError);
        }
        expectVoxels(folder / name, entry, volumes);
    }
}

TEST(TotalSegmentatorFiles, readAsNibabelReadsThem) {
    MEDSEG_REQUIRE_FIXTURE(folder, "data/totalsegmentator");
    for (const json& entry : readJson(folder / "volumes.json")) {
        const std::string name = entry["file"];
        SCOPED_TRACE(name);
        const ImageHeader header = readImageHeader(folder / name);
        EXPECT_EQ(header.shape, entry["shape"].get<std::vector<std::int64_t>>());
        EXPECT_EQ(header.storedType, entry["stored_dtype"].get<std::string>());
        EXPECT_EQ(header.geometry.orientation(), entry["orientation"].get<std::string>());
        const Vec3 spacing = header.geometry.spacing();
        for (std::size_t axis = 0; axis < 3; ++axis)
            EXPECT_NEAR(spacing[axis], entry["spacing"][axis].get<double>(), 1e-5);
        expectAffine(header.geometry, entry["affine"], name);
        expectVoxels(folder / name, entry, 1);
    }
}

TEST(TotalSegmentatorFiles, labelsHaveTheirNamesAndVolumes) {
    MEDSEG_REQUIRE_FIXTURE(folder, "data/totalsegmentator");
    for (const json& entry : readJson(folder / "volumes.json")) {
        if (!entry.contains("labels")) continue;
        const std::string name = entry["file"];
        SCOPED_TRACE(name);
        const LabelMap labels = readLabelMap(folder / name);
        const auto counts = labels.countVoxels();
        std::size_t present = 0;
        for (const auto count : counts) present += count > 0 ? 1 : 0;
        EXPECT_EQ(present, entry["labels"].size());
        for (const json& label : entry["labels"]) {
            const int id = label["id"];
            ASSERT_LT(static_cast<std::size_t>(id), counts.size());
            EXPECT_EQ(counts[static_cast<std::size_t>(id)], label["voxels"].get<std::int64_t>()) << id;
            const double ml =
                static_cast<double>(counts[static_cast<std::size_t>(id)]) * labels.geometry().voxelVolume() / 1000;
            EXPECT_NEAR(ml, label["ml"].get<double>(), 1e-3) << id;
            if (id > 0) {
                EXPECT_EQ(labels.table().nameOf(id), label["name"].get<std::string>());
            }
        }
    }
}

}  // namespace
}  // namespace medseg
