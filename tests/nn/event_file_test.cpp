// TensorBoard events read back by a reader of their own, with published check values of CRC-32C.
#include "medseg/train/event_file.h"

#include <bit>
#include <cstring>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

/// Bit by bit, without a table.
std::uint32_t slowCrc(const std::string& bytes) {
    std::uint32_t crc = ~0U;
    for (const char c : bytes) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78U : crc >> 1;
    }
    return ~crc;
}

std::uint32_t unmask(std::uint32_t masked) {
    return std::rotl(masked - 0xa282ead8U, 15);
}

template <typename T>
T take(const std::string& text, std::size_t& at) {
    T value;
    std::memcpy(&value, text.data() + at, sizeof value);
    at += sizeof value;
    return value;
}

std::uint64_t takeVarint(const std::string& text, std::size_t& at) {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        const auto byte = static_cast<unsigned char>(text.at(at++));
        value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
}

/// Field number -> raw payloads (fixed and varint fields as 8-byte text).
std::multimap<int, std::string> fieldsOf(const std::string& message) {
    std::multimap<int, std::string> fields;
    for (std::size_t at = 0; at < message.size();) {
        const std::uint64_t key = takeVarint(message, at);
        std::string payload;
        switch (key & 7) {
            case 0: {
                const std::uint64_t value = takeVarint(message, at);
                payload.assign(reinterpret_cast<const char*>(&value), 8);
                break;
            }
            case 1:
                payload = message.substr(at, 8);
                at += 8;
                break;
            case 2: {
                const std::uint64_t size = takeVarint(message, at);
                payload = message.substr(at, size);
                at += size;
                break;
            }
            case 5:
                payload = message.substr(at, 4);
                at += 4;
                break;
            default:
                ADD_FAILURE() << "wire type " << (key & 7);
                return fields;
        }
        fields.emplace(static_cast<int>(key >> 3), payload);
    }
    return fields;
}

std::vector<std::string> recordsOf(const fs::path& file) {
    const std::string text = readTextFile(file);
    std::vector<std::string> records;
    for (std::size_t at = 0; at < text.size();) {
        const std::string length = text.substr(at, 8);
        const auto size = take<std::uint64_t>(text, at);
        EXPECT_EQ(unmask(take<std::uint32_t>(text, at)), slowCrc(length));
        records.push_back(text.substr(at, size));
        at += size;
        EXPECT_EQ(unmask(take<std::uint32_t>(text, at)), slowCrc(records.back()));
    }
    return records;
}

TEST(Crc32c, HasThePublishedCheckValues) {
    const auto crc = [](const std::vector<std::uint8_t>& bytes) { return crc32c(bytes); };
    const std::string digits = "123456789";
    EXPECT_EQ(crc({digits.begin(), digits.end()}), 0xe3069283U);
    // RFC 3720, B.4.
    std::vector<std::uint8_t> ascending(32), descending(32);
    for (int i = 0; i < 32; ++i) ascending[i] = static_cast<std::uint8_t>(i), descending[31 - i] = ascending[i];
    EXPECT_EQ(crc(std::vector<std::uint8_t>(32, 0)), 0x8a9136aaU);
    EXPECT_EQ(crc(std::vector<std::uint8_t>(32, 0xff)), 0x62a8ab43U);
    EXPECT_EQ(crc(ascending), 0x46dd794eU);
    EXPECT_EQ(crc(descending), 0x113fdb5cU);
}

TEST(EventFile, HoldsAVersionAndTheScalarsOfEachStep) {
    const TemporaryFolder folder;
    EventFile events(folder.path() / "events");
    events.addScalars(1, 1700000000.5, {{"loss/train", 0.75}, {"dice", std::numeric_limits<double>::quiet_NaN()}});
    events.addScalars(300, 1700000001.0, {{"loss/train", -2.5}, {"dice", 0.125}});
    EXPECT_TRUE(events.path().filename().string().starts_with("events.out.tfevents."));
    const auto records = recordsOf(events.path());
    ASSERT_EQ(records.size(), 3U);
    EXPECT_EQ(fieldsOf(records[0]).find(3)->second, "brain.Event:2");
    std::size_t at = 0;
    const auto last = fieldsOf(records[2]);
    EXPECT_EQ(take<double>(last.find(1)->second, at = 0), 1700000001.0);
    EXPECT_EQ(take<std::uint64_t>(last.find(2)->second, at = 0), 300U);
    std::map<std::string, float> values;
    const auto summary = fieldsOf(last.find(5)->second);
    for (auto [it, end] = summary.equal_range(1); it != end; ++it) {
        const auto value = fieldsOf(it->second);
        values[value.find(1)->second] = take<float>(value.find(2)->second, at = 0);
    }
    EXPECT_EQ(values, (std::map<std::string, float>{{"loss/train", -2.5F}, {"dice", 0.125F}}));
    const auto first = fieldsOf(records[1]);
    EXPECT_EQ(fieldsOf(first.find(5)->second).size(), 1U);  // NaN is left out
}

}  // namespace
}  // namespace medseg
