#include "parity/imaging/fixture.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>

namespace medseg::parity {
namespace {

NpyArray readReference(const std::string& reference) {
    static std::map<std::string, NpzFile> files;
    const std::size_t colon = reference.find(':');
    const std::string file = reference.substr(0, colon);
    auto found = files.find(file);
    if (found == files.end()) found = files.emplace(file, NpzFile(imagingFixtures() + "/" + file)).first;
    return found->second.read(reference.substr(colon + 1));
}

std::vector<std::string> presentOps() {
    std::set<std::string> ops;
    for (const Entry& entry : entries()) ops.insert(entry.op());
    return {ops.begin(), ops.end()};
}

}  // namespace

Tolerance parseTolerance(const std::string& text) {
    if (text.starts_with("exact")) return {};
    if (text.starts_with("+-")) return {std::strtod(text.c_str() + 2, nullptr), 0};
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (end == text.c_str()) return {NAN, 0};
    return std::string(end).starts_with(" rel") ? Tolerance{0, value} : Tolerance{value, 0};
}

NpyArray Entry::input(std::size_t index) const {
    return readReference(json.at("inputs").at(index));
}
NpyArray Entry::output(const std::string& name) const {
    return readReference(json.at("outputs").at(name));
}

std::string imagingFixtures() {
    const char* root = std::getenv("MEDSEG_FIXTURES");
    const std::string folder = std::string(root != nullptr ? root : MEDSEG_FIXTURES_DEFAULT) + "/imaging";
    return std::filesystem::exists(folder + "/index.json") ? folder : "";
}

const std::vector<Entry>& entries() {
    static const std::vector<Entry> loaded = [] {
        std::vector<Entry> result;
        if (imagingFixtures().empty()) return result;
        std::ifstream file(imagingFixtures() + "/index.json");
        for (auto& json : nlohmann::json::parse(file)) result.push_back({std::move(json)});
        return result;
    }();
    return loaded;
}

std::map<std::string, Handler>& handlers() {
    static std::map<std::string, Handler> registered;
    return registered;
}

Index3 sizeOf(const NpyArray& array) {
    Index3 size{1, 1, 1};
    const std::size_t dimensions = array.shape.size();
    if (dimensions > 3) throw std::runtime_error(fmt::format("fixture array of {} dimensions", dimensions));
    for (std::size_t i = 0; i < dimensions; ++i) size[i] = array.shape[dimensions - 1 - i];
    return size;
}

Vec3 perAxis(const nlohmann::json& values, int dimensions, double missing) {
    Vec3 result{missing, missing, missing};
    for (int i = 0; i < dimensions; ++i)
        result[i] = values.is_array() ? values.at(dimensions - 1 - i).get<double>() : values.get<double>();
    return result;
}

void expectNear(const std::vector<double>& actual, const std::vector<double>& expected, const Tolerance& tolerance) {
    ASSERT_EQ(actual.size(), expected.size());
    ASSERT_FALSE(std::isnan(tolerance.absolute)) << "the entry's tolerance cannot be read";
    double largest = 0, worst = -1;
    for (const double v : expected) largest = std::max(largest, std::abs(v));
    const double allowed = tolerance.absolute + tolerance.relative * largest;
    std::size_t at = 0, wrong = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        const double difference = std::abs(actual[i] - expected[i]);
        wrong += !(difference <= allowed);
        if (!(difference <= worst)) worst = difference, at = i;
    }
    EXPECT_LE(static_cast<double>(wrong), tolerance.outliers * static_cast<double>(actual.size()))
        << wrong << " of " << actual.size() << " values; worst at " << at << ": " << actual[at] << " instead of "
        << expected[at] << ", allowed " << allowed;
}

class Imaging : public testing::TestWithParam<std::string> {};

TEST_P(Imaging, Equals) {
    const auto handler = handlers().find(GetParam());
    ASSERT_NE(handler, handlers().end()) << "no test for op '" << GetParam() << "'";
    for (const Entry& entry : entries()) {
        if (entry.op() != GetParam()) continue;
        SCOPED_TRACE(entry.id());
        ASSERT_NO_THROW(handler->second(entry));
    }
}

INSTANTIATE_TEST_SUITE_P(Op, Imaging, testing::ValuesIn(presentOps()), [](const auto& info) { return info.param; });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Imaging);

TEST(ImagingFixtures, Present) {
    if (imagingFixtures().empty())
        GTEST_SKIP() << "no fixtures: set MEDSEG_FIXTURES to the folder that holds imaging/index.json";
    EXPECT_FALSE(entries().empty());
}

}  // namespace medseg::parity
