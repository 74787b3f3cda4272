// The fixture folder metrics/: mask pairs with the values that the reference implementations give.
#pragma once

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "medseg/io/npy.h"
#include "medseg/volume/label_map.h"

namespace medseg::test {

inline std::filesystem::path fixtureFolder() {
    const char* folder = std::getenv("MEDSEG_FIXTURES");
    return folder != nullptr ? folder : MEDSEG_FIXTURES_DEFAULT;
}

inline nlohmann::json readJson(const std::filesystem::path& path) {
    std::ifstream file(path);
    return nlohmann::json::parse(file);
}

/// Numbers, or the strings that stand for values JSON lacks.
inline double valueOf(const nlohmann::json& json) {
    if (json.is_number()) return json.get<double>();
    const std::string text = json.get<std::string>();
    if (text == "Infinity" || text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity" || text == "-inf") return -std::numeric_limits<double>::infinity();
    return std::numeric_limits<double>::quiet_NaN();
}

inline void expectValue(double actual, const nlohmann::json& expected, double relative, const std::string& what,
                        double absolute = 0) {
    const double wanted = valueOf(expected);
    if (std::isnan(wanted))
        EXPECT_TRUE(std::isnan(actual)) << what << ": " << actual;
    else if (std::isinf(wanted))
        EXPECT_EQ(actual, wanted) << what;
    else
        EXPECT_NEAR(actual, wanted, relative * std::abs(wanted) + absolute) << what;
}

/// An array whose last axis varies fastest as a label map. `axesFirst`: the first array axis becomes x (arrays made
/// from NIfTI by nibabel, as in this folder), else the last does and memory order is kept.
inline LabelMap labelsFrom(const NpyArray& array, std::vector<double> spacing, bool axesFirst) {
    const std::vector<double> values = array.toDoubles();
    std::vector<std::int64_t> shape = array.shape;
    while (shape.size() < 3) shape.push_back(1);
    while (spacing.size() < 3) spacing.push_back(1);
    if (array.shape.size() == 2 && !axesFirst) {
        shape = {1, array.shape[0], array.shape[1]};
        spacing = {1, spacing[0], spacing[1]};
    }
    const Index3 size = axesFirst ? Index3{shape[0], shape[1], shape[2]} : Index3{shape[2], shape[1], shape[0]};
    const Vec3 mm = axesFirst ? Vec3{spacing[0], spacing[1], spacing[2]} : Vec3{spacing[2], spacing[1], spacing[0]};
    Volume<std::uint16_t> volume(Geometry::axisAligned(size, mm));
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y)
            for (std::int64_t x = 0; x < size[0]; ++x)
                volume(x, y, z) = static_cast<std::uint16_t>(
                    values[axesFirst ? z + size[2] * (y + size[1] * x) : x + size[0] * (y + size[1] * z)]);
    return LabelMap::fromAny(AnyVolume(std::move(volume)), {}, "fixture");
}

/// Two maps of one case.
struct MaskPair {
    LabelMap reference;
    LabelMap prediction;
    bool isFlat = false;
};

inline MaskPair readPair(const nlohmann::json& entry, bool axesFirst = true) {
    const NpzFile file(fixtureFolder() / "metrics" / entry.at("file").get<std::string>());
    const auto spacing = entry.at("spacing").get<std::vector<double>>();
    const NpyArray gt = file.read("gt");
    return {labelsFrom(gt, spacing, axesFirst), labelsFrom(file.read("pred"), spacing, axesFirst),
            gt.shape.size() == 2};
}

}  // namespace medseg::test

/// The entries of a JSON file of the folder, or the test is skipped.
#define MEDSEG_METRIC_CASES(cases, file)                                                          \
    const auto path_##cases = medseg::test::fixtureFolder() / "metrics" / file;                   \
    if (!std::filesystem::exists(path_##cases))                                                   \
        GTEST_SKIP() << path_##cases << " is missing: set MEDSEG_FIXTURES to the fixture folder"; \
    const nlohmann::json cases = medseg::test::readJson(path_##cases)
