#include "parity/preprocess/fixture.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>

#include <gtest/gtest.h>

#include "fixtures.h"

namespace medseg::parity {
namespace {

using Json = nlohmann::json;

/// Values of an index expression: null = all, [start, stop, step], or a list of indices.
std::vector<std::int64_t> indices(const Json& range, std::int64_t extent) {
    std::vector<std::int64_t> result;
    if (range.is_null()) {
        result.resize(static_cast<std::size_t>(extent));
        std::iota(result.begin(), result.end(), 0);
    } else {
        for (std::int64_t i = range.at(0); i < range.at(1).get<std::int64_t>(); i += range.at(2).get<std::int64_t>())
            result.push_back(i);
    }
    return result;
}

/// The rows, columns and channel of the last axes that are compared; volumes are taken whole.
std::vector<double> selectPart(const NpyArray& output, const Json& expected) {
    const std::vector<double> values = output.toDoubles();
    if (expected.at("rows").is_null() && expected.at("cols").is_null() && expected.at("channel").is_null())
        return values;
    const std::int64_t width = output.shape.at(1), channels = output.shape.size() > 2 ? output.shape[2] : 1;
    std::vector<std::int64_t> chosen{0};
    if (!expected.at("channel").is_null())
        chosen = {expected.at("channel").get<std::int64_t>()};
    else
        chosen = indices(nullptr, channels);
    std::vector<double> part;
    for (const std::int64_t row : indices(expected.at("rows"), output.shape[0]))
        for (const std::int64_t column : indices(expected.at("cols"), width))
            for (const std::int64_t channel : chosen)
                part.push_back(values.at(static_cast<std::size_t>((row * width + column) * channels + channel)));
    return part;
}

std::vector<double> referenceValues(const Json& expected) {
    const NpyArray reference = readArray(fixtureRoot() / expected.at("file").get<std::string>(), expected.at("key"));
    EXPECT_EQ(npyTypeName(reference.type), expected.at("dtype").get<std::string>());
    std::vector<double> values = reference.toDoubles();
    if (expected.at("rows_from").is_null()) return values;
    const Json& source = expected.at("rows_from");
    const std::vector<double> rows =
        readArray(fixtureRoot() / source.at("file").get<std::string>(), source.at("key")).toDoubles();
    const auto rowLength = static_cast<std::ptrdiff_t>(values.size()) / reference.shape.at(0);
    std::vector<double> picked;
    for (const double row : rows) {
        const auto first = values.begin() + static_cast<std::ptrdiff_t>(row) * rowLength;
        picked.insert(picked.end(), first, first + rowLength);
    }
    return picked;
}

template <typename T>
void take(const Json& item, const char* key, T& target) {
    if (!item.at(key).is_null()) target = item.at(key).get<T>();
}

}  // namespace

std::filesystem::path fixtureRoot() {
    return test::fixtures();
}

std::vector<Json> casesOf(const std::vector<std::string>& recipes) {
    std::vector<Json> cases;
    std::ifstream file(fixtureRoot() / "preprocess" / "cases.json");
    if (!file) return cases;
    for (const Json& item : Json::parse(file))
        if (std::find(recipes.begin(), recipes.end(), item.at("recipe").get<std::string>()) != recipes.end())
            cases.push_back(item);
    return cases;
}

NpyArray readArray(const std::filesystem::path& file, const Json& key) {
    return key.is_null() ? readNpy(file) : NpzFile(file).read(key.get<std::string>());
}

void expectArray(const NpyArray& output, const Json& expected) {
    const std::vector<double> got = selectPart(output, expected), wanted = referenceValues(expected);
    ASSERT_EQ(got.size(), wanted.size());
    const auto elements = expected.at("shape").get<std::vector<std::size_t>>();
    EXPECT_EQ(got.size(), std::accumulate(elements.begin(), elements.end(), std::size_t{1}, std::multiplies<>()));
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        const double difference = std::abs(got[i] - wanted[i]);
        if (!(difference <= worst)) worst = difference;  // also NaN
    }
    EXPECT_LE(worst, expected.at("tolerance").get<double>());
}

MedsamSettings settingsOf(const Json& item) {
    std::string form = item.at("recipe");
    const bool slices = form.ends_with("_npy");
    if (slices) form.resize(form.size() - 4);
    MedsamSettings settings = medsamDefaults(form);
    settings.npy = slices;
    take(item, "modality", settings.modality);
    take(item, "anatomy", settings.anatomy);
    take(item, "window_level", settings.image.window.level);
    take(item, "window_width", settings.image.window.width);
    take(item, "percentiles", settings.image.percents);
    settings.labels.removeLabels.clear();
    take(item, "remove_labels", settings.labels.removeLabels);
    if (!item.at("tumor_label").is_null()) settings.labels.tumorLabel = item.at("tumor_label").get<int>();
    take(item, "tumor_offset", settings.labels.tumorOffset);
    take(item, "dust_3d", settings.labels.dust3d);
    take(item, "dust_2d", settings.labels.dust2d);
    take(item, "image_size", settings.imageSize);
    if (!item.at("connectivity_3d").is_null())
        settings.labels.connectivity3d = connectivityFromNumber(item.at("connectivity_3d"));
    if (!item.at("connectivity_2d").is_null())
        settings.labels.connectivity2d = connectivityFromNumber(item.at("connectivity_2d"));
    return settings;
}

}  // namespace medseg::parity
