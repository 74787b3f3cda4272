#include "medseg/base/sha256.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "medseg/base/files.h"

namespace medseg {
namespace {

/// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
std::array<std::uint32_t, 64> roundConstants() {
    std::array<std::uint32_t, 64> constants{};
    std::size_t count = 0;
    for (int candidate = 2; count < constants.size(); ++candidate) {
        bool prime = true;
        for (int divisor = 2; divisor * divisor <= candidate; ++divisor) prime = prime && candidate % divisor != 0;
        if (!prime) continue;
        const long double root = std::cbrt(static_cast<long double>(candidate));
        constants[count++] = static_cast<std::uint32_t>((root - std::floor(root)) * 4294967296.0L);
    }
    return constants;
}

}  // namespace

void Sha256::update(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    total_ += size;
    while (size > 0) {
        if (pendingSize_ == 0 && size >= pending_.size()) {
            block(bytes);
            bytes += pending_.size();
            size -= pending_.size();
            continue;
        }
        const std::size_t taken = std::min(size, pending_.size() - pendingSize_);
        std::memcpy(pending_.data() + pendingSize_, bytes, taken);
        pendingSize_ += taken;
        bytes += taken;
        size -= taken;
        if (pendingSize_ < pending_.size()) continue;
        block(pending_.data());
        pendingSize_ = 0;
    }
}

void Sha256::block(const std::uint8_t* bytes) {
    static const std::array<std::uint32_t, 64> constants = roundConstants();
    std::array<std::uint32_t, 64> words{};
    for (std::size_t i = 0; i < 16; ++i)
        words[i] = static_cast<std::uint32_t>(bytes[4 * i]) << 24 | static_cast<std::uint32_t>(bytes[4 * i + 1]) << 16 |
                   static_cast<std::uint32_t>(bytes[4 * i + 2]) << 8 | bytes[4 * i + 3];
    for (std::size_t i = 16; i < 64; ++i) {
        const std::uint32_t a = words[i - 15], b = words[i - 2];
        words[i] = words[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + words[i - 7] +
                   (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    for (std::size_t i = 0; i < 64; ++i) {
        const std::uint32_t first = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) +
                                    constants[i] + words[i];
        const std::uint32_t second =
            (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + second;
    }
    const std::array<std::uint32_t, 8> sums{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < sums.size(); ++i) state_[i] += sums[i];
}

std::string Sha256::finish() {
    const std::uint64_t bits = total_ * 8;
    const std::uint8_t mark = 0x80, zero = 0;
    update(&mark, 1);
    while (pendingSize_ != 56) update(&zero, 1);
    std::array<std::uint8_t, 8> length{};
    for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<std::uint8_t>(bits >> (56 - 8 * i));
    update(length.data(), length.size());
    std::string text;
    for (const std::uint32_t word : state_) text += fmt::format("{:08x}", word);
    return text;
}

std::string sha256OfFile(const std::filesystem::path& path) {
    const MappedFile file(path);
    Sha256 hash;
    hash.update(file.bytes().data(), file.bytes().size());
    return hash.finish();
}

}  // namespace medseg
