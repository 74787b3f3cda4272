#include "medseg/train/event_file.h"

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <fstream>

#include <fmt/format.h>
#include <unistd.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::array<std::uint32_t, 256> crcTable() {
    constexpr std::uint32_t kPolynomial = 0x82f63b78;  // reversed 0x1edc6f41
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
        table[i] = value;
    }
    return table;
}

std::uint32_t maskedCrc(std::span<const std::uint8_t> bytes) {
    return std::rotr(crc32c(bytes), 15) + 0xa282ead8U;
}

template <typename Integer>
void appendLittleEndian(Bytes& out, Integer value) {
    for (std::size_t i = 0; i < sizeof(Integer); ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void appendVarint(Bytes& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
    out.push_back(static_cast<std::uint8_t>(value));
}

enum class Wire { Varint = 0, Fixed64 = 1, Length = 2, Fixed32 = 5 };

void appendKey(Bytes& out, int field, Wire wire) {
    appendVarint(out, static_cast<std::uint64_t>(field << 3 | static_cast<int>(wire)));
}

template <typename Range>
void appendLengthDelimited(Bytes& out, int field, const Range& bytes) {
    appendKey(out, field, Wire::Length);
    appendVarint(out, bytes.size());
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Event { double wall_time = 1; int64 step = 2; ... }
Bytes eventHead(double wallTime, std::int64_t step) {
    Bytes event;
    appendKey(event, 1, Wire::Fixed64);
    appendLittleEndian(event, std::bit_cast<std::uint64_t>(wallTime));
    appendKey(event, 2, Wire::Varint);
    appendVarint(event, static_cast<std::uint64_t>(step));
    return event;
}

/// Summary.Value { string tag = 1; float simple_value = 2; }
Bytes summaryValue(const std::string& tag, double value) {
    Bytes message;
    appendLengthDelimited(message, 1, tag);
    appendKey(message, 2, Wire::Fixed32);
    appendLittleEndian(message, std::bit_cast<std::uint32_t>(static_cast<float>(value)));
    return message;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::uint8_t> bytes) {
    static const auto table = crcTable();
    std::uint32_t crc = 0xffffffffU;
    for (const std::uint8_t byte : bytes) crc = (crc >> 8) ^ table[(crc ^ byte) & 0xff];
    return ~crc;
}

EventFile::EventFile(const std::filesystem::path& folder) {
    createDirectories(folder);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    path_ = folder / fmt::format("events.out.tfevents.{}.medseg.{}", seconds, ::getpid());
}

void EventFile::append(const std::vector<std::uint8_t>& message) {
    Bytes record;
    appendLittleEndian(record, static_cast<std::uint64_t>(message.size()));
    appendLittleEndian(record, maskedCrc(record));
    record.insert(record.end(), message.begin(), message.end());
    appendLittleEndian(record, maskedCrc(message));
    std::ofstream file(path_, std::ios::binary | std::ios::app);
    file.write(reinterpret_cast<const char*>(record.data()), static_cast<std::streamsize>(record.size()));
    file.flush();
    if (!file) throw WorkError(path_.string(), "cannot write: is the disk full or the folder read-only?");
}

void EventFile::addScalars(std::int64_t step, double wallTime,
                           const std::vector<std::pair<std::string, double>>& scalars) {
    if (!started_) {
        Bytes version = eventHead(wallTime, 0);
        appendLengthDelimited(version, 3, std::string("brain.Event:2"));  // file_version
        append(version);
        started_ = true;
    }
    Bytes summary;
    for (const auto& [tag, value] : scalars)
        if (std::isfinite(value)) appendLengthDelimited(summary, 1, summaryValue(tag, value));
    Bytes event = eventHead(wallTime, step);
    appendLengthDelimited(event, 5, summary);
    append(event);
}

}  // namespace medseg
