// The entries of <fixtures>/imaging/index.json: inputs, parameters, expected values and tolerances.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "medseg/io/npy.h"
#include "medseg/volume/volume.h"

namespace medseg::parity {

/// How far results may be off, parsed from the entry's text.
struct Tolerance {
    double absolute = 0;
    double relative = 0;  ///< of the largest magnitude in the expected array
    double outliers = 0;  ///< share of values that may be off by more
};
/// "exact ...", "+-1 ...", "1e-6 abs ...", "1e-6 rel ...", "1e-6".
Tolerance parseTolerance(const std::string& text);

struct Entry {
    nlohmann::json json;

    std::string id() const { return json.at("id"); }
    std::string op() const { return json.at("op"); }
    const nlohmann::json& params() const { return json.at("params"); }
    const nlohmann::json& expected() const { return json.at("expected"); }
    Tolerance tolerance() const { return parseTolerance(json.at("tolerance")); }
    /// Entries whose text says that ties may fall either way, for nearest-neighbour results.
    bool allowsTies() const { return json.at("tolerance").get<std::string>().find("ties") != std::string::npos; }
    NpyArray input(std::size_t index) const;
    NpyArray output(const std::string& name) const;
};

/// Folder of the imaging fixtures; empty when it does not exist.
std::string imagingFixtures();
const std::vector<Entry>& entries();

using Handler = std::function<void(const Entry&)>;
std::map<std::string, Handler>& handlers();
/// Registers the test of an op before main().
struct Registration {
    Registration(const std::string& op, Handler handler) { handlers()[op] = std::move(handler); }
};

/// Array axes reversed: (axis0, axis1, axis2) of numpy is (z, y, x); two axes are a slice.
Index3 sizeOf(const NpyArray& array);
/// Per-axis numbers of numpy's order, or one number, as x, y, z; missing axes get `missing`.
Vec3 perAxis(const nlohmann::json& values, int dimensions, double missing);
/// An array as a volume of type T (converted), with spacing in our order.
template <typename T>
Volume<T> volumeOf(const NpyArray& array, const Vec3& spacing = {1, 1, 1}) {
    Volume<T> volume(Geometry::axisAligned(sizeOf(array), spacing));
    const std::vector<double> values = array.toDoubles();
    for (std::size_t i = 0; i < values.size(); ++i) volume.data()[i] = static_cast<T>(values[i]);
    return volume;
}

void expectNear(const std::vector<double>& actual, const std::vector<double>& expected, const Tolerance& tolerance);
template <typename T>
std::vector<double> toDoubles(std::span<const T> values) {
    return {values.begin(), values.end()};
}
template <typename T>
void expectNear(const Volume<T>& actual, const NpyArray& expected, const Tolerance& tolerance) {
    ASSERT_EQ(actual.size(), sizeOf(expected));
    expectNear(toDoubles(actual.voxels()), expected.toDoubles(), tolerance);
}

/// Every n-th pixel of every n-th row, as fixtures of large images store them.
template <typename T>
std::vector<double> subsample(const T* pixels, std::int64_t width, std::int64_t height, std::int64_t step) {
    std::vector<double> result;
    for (std::int64_t y = 0; y < height; y += step)
        for (std::int64_t x = 0; x < width; x += step) result.push_back(static_cast<double>(pixels[x + width * y]));
    return result;
}

}  // namespace medseg::parity
