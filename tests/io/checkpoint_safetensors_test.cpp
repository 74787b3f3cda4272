#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/half_float.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/state_dict.h"
#include "medseg/io/tensor_statistics.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::uint8_t> fileOf(const std::string& header, std::size_t dataBytes) {
    std::vector<std::uint8_t> bytes(8);
    for (int i = 0; i < 8; ++i)
        bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(header.size() >> (8 * i));
    bytes.insert(bytes.end(), header.begin(), header.end());
    for (std::size_t i = 0; i < dataBytes; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
    return bytes;
}

TEST(Safetensors, ReadsHeaderAndData) {
    const TemporaryFolder folder;
    const auto path = folder.write(
        "a.safetensors",
        fileOf(
            R"({"__metadata__":{"k":"v"},"b":{"dtype":"I16","shape":[2],"data_offsets":[4,8]},)"
            R"("a":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]},"s":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}} )",
            9));
    const SafetensorsFile file = readSafetensors(path);
    EXPECT_EQ(file.metadata.at("k"), "v");
    ASSERT_EQ(file.tensors.size(), 3u);
    EXPECT_EQ(file.tensors[0].first, "b");
    EXPECT_THAT(file.tensors[0].second.toDoubles(), ElementsAre(0x0504, 0x0706));
    EXPECT_THAT(file.tensors[1].second.toDoubles(), ElementsAre(0, 1, 2, 3));
    EXPECT_THAT(file.tensors[2].second.toDoubles(), ElementsAre(1));
}

TEST(Safetensors, DamagedHeadersAreRefused) {
    const TemporaryFolder folder;
    const std::pair<const char*, const char*> cases[] = {
        {"[1]", "no JSON object"},
        {"{\"a\":", "no JSON object"},
        {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "follow the last tensor"},
        {R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", "outside"},
        {R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}})", "outside"},
        {R"({"a":{"dtype":"U8","shape":[7],"data_offsets":[0,8]}})", "8 bytes for shape"},
        {R"({"a":{"dtype":"F3","shape":[8],"data_offsets":[0,8]}})", "unknown dtype"},
        {R"({"a":{"dtype":"U8","shape":[-8],"data_offsets":[0,8]}})", "no size"},
        {R"({"a":{"dtype":"U8","shape":[4611686018427387904,4,4611686018427387904],"data_offsets":[0,8]}})",
         "impossible"},
        {R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
         "twice"},
        {R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
         "overlaps"},
        {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", "unused bytes"},
        {R"({"a":3})", "no object"},
        {R"({"__metadata__":{"a":3}})", "no string"},
    };
    for (const auto& [header, problem] : cases) {
        const auto path = folder.write("bad.safetensors", fileOf(header, 8));
        try {
            readSafetensors(path);
            ADD_FAILURE() << header << " was accepted";
        } catch (const DataError& error) {
            EXPECT_THAT(error.what(), HasSubstr(problem)) << header;
            EXPECT_THAT(error.what(), HasSubstr("bad.safetensors"));
        }
    }
    EXPECT_THROW(readSafetensors(folder.write("long", {0, 0, 0, 0, 0, 0, 0, 0x70, '{', '}'})), DataError);
    EXPECT_THROW(readSafetensors(folder.write("empty", {})), DataError);
}

TEST(Safetensors, WhatIsWrittenIsReadBackAndAligned) {
    const TemporaryFolder folder;
    const std::vector<float> values{1.5f, -2, 1e30f, 0.1f, 70000, -0.0f};
    const TensorRecord wide = TensorRecord::ofFloats({2, 3}, values);
    TensorRecord transposed = wide;
    transposed.shape = {3, 2};
    transposed.strides = {1, 3};
    const auto path = folder.path() / "out.safetensors";
    writeSafetensors(path,
                     {{"byte", TensorRecord::owning(TensorDtype::U8, {3}, {1, 2, 3})},
                      {"half", wide.converted(TensorDtype::F16)},
                      {"wide", wide},
                      {"transposed", transposed}},
                     {{{"note", "x \"quoted\""}}, std::nullopt});
    const SafetensorsFile file = readSafetensors(path);
    EXPECT_EQ(file.metadata.at("note"), "x \"quoted\"");
    for (const auto& [name, tensor] : file.tensors)
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % tensorDtypeSize(tensor.dtype), 0u) << name;
    EXPECT_EQ(findTensor(file.tensors, "wide")->toFloats(), values);
    EXPECT_THAT(findTensor(file.tensors, "transposed")->toFloats(), ElementsAre(1.5f, 0.1f, -2, 70000, 1e30f, -0.0f));
    EXPECT_TRUE(std::isinf(findTensor(file.tensors, "half")->toFloats()[4]));  // beyond 65504
    EXPECT_THROW(writeSafetensors(path, {{"a", wide}, {"a", wide}}), DataError);
}

TEST(HalfFloat, EveryHalfSurvivesTheWayThroughFloat) {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        const auto half = static_cast<std::uint16_t>(bits);
        const float value = halfToFloat(half);
        if (std::isnan(value)) {
            EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(value))));
        } else {
            ASSERT_EQ(floatToHalf(value), half) << bits;
        }
    }
}

/// Known values of IEEE 754 binary16 and ties to even.
TEST(HalfFloat, RoundsToNearestEven) {
    EXPECT_EQ(halfToFloat(0x3c00), 1.0f);
    EXPECT_EQ(halfToFloat(0x7bff), 65504.0f);
    EXPECT_EQ(halfToFloat(0x0001), std::ldexp(1.0f, -24));
    EXPECT_EQ(floatToHalf(65519.0f), 0x7bff);
    EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
    EXPECT_EQ(floatToHalf(1.0f + std::ldexp(1.0f, -11)), 0x3c00);
    EXPECT_EQ(floatToHalf(1.0f + 3 * std::ldexp(1.0f, -11)), 0x3c02);
    EXPECT_EQ(floatToHalf(std::ldexp(1.0f, -25)), 0x0000);
    EXPECT_EQ(floatToHalf(std::ldexp(1.1f, -25)), 0x0001);
    EXPECT_EQ(floatToHalf(-0.0f), 0x8000);
    EXPECT_EQ(floatToBfloat16(1.0f), 0x3f80);
    EXPECT_EQ(floatToBfloat16(1.0f + std::ldexp(1.0f, -8)), 0x3f80);
    EXPECT_EQ(floatToBfloat16(1.0f + 3 * std::ldexp(1.0f, -8)), 0x3f82);
    EXPECT_TRUE(std::isnan(bfloat16ToFloat(floatToBfloat16(NAN))));
}

TEST(TensorStatistics, CountsWhatIsNotFinite) {
    const TensorStatistics s =
        computeStatistics(TensorRecord::ofFloats({6}, std::vector<float>{1, NAN, 3, INFINITY, 8, -INFINITY}));
    EXPECT_EQ(s.count, 6);
    EXPECT_EQ(s.nan, 1);
    EXPECT_EQ(s.infinite, 2);
    EXPECT_EQ(s.min, 1);
    EXPECT_EQ(s.max, 8);
    EXPECT_EQ(s.mean, 4);
    EXPECT_NEAR(s.standardDeviation, std::sqrt(26.0 / 3.0), 1e-12);
}

}  // namespace
}  // namespace medseg
