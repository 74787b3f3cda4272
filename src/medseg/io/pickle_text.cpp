#include "medseg/io/pickle_text.h"

#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

namespace {

/// Length of the valid UTF-8 sequence at `position`, 0 if there is none (RFC 3629: no overlong forms, no surrogates).
std::size_t sequenceLength(std::string_view text, std::size_t position) {
    const auto byte = [&](std::size_t i) {
        return position + i < text.size() ? static_cast<unsigned char>(text[position + i]) : 0u;
    };
    const auto continues = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        if (!continues(1) || !continues(2)) return 0;
        if (first == 0xe0 && byte(1) < 0xa0) return 0;
        if (first == 0xed && byte(1) > 0x9f) return 0;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (!continues(1) || !continues(2) || !continues(3)) return 0;
        if (first == 0xf0 && byte(1) < 0x90) return 0;
        if (first == 0xf4 && byte(1) > 0x8f) return 0;
        return 4;
    }
    return 0;
}

void appendUtf8(std::string& text, std::uint32_t code) {
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) code = 0xfffd;
    if (code < 0x80) {
        text += static_cast<char>(code);
    } else if (code < 0x800) {
        text += static_cast<char>(0xc0 | code >> 6);
        text += static_cast<char>(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        text += static_cast<char>(0xe0 | code >> 12);
        text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
        text += static_cast<char>(0x80 | (code & 0x3f));
    } else {
        text += static_cast<char>(0xf0 | code >> 18);
        text += static_cast<char>(0x80 | (code >> 12 & 0x3f));
        text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
        text += static_cast<char>(0x80 | (code & 0x3f));
    }
}

std::optional<std::uint32_t> parseHex(std::string_view text, std::size_t position, std::size_t digits) {
    if (position + digits > text.size()) return std::nullopt;
    std::uint32_t value = 0;
    const char* first = text.data() + position;
    const auto result = std::from_chars(first, first + digits, value, 16);
    if (result.ec != std::errc() || result.ptr != first + digits) return std::nullopt;
    return value;
}

char simpleEscape(char c) {
    switch (c) {
        case 'n':
            return '\n';
        case 't':
            return '\t';
        case 'r':
            return '\r';
        case 'a':
            return '\a';
        case 'b':
            return '\b';
        case 'f':
            return '\f';
        case 'v':
            return '\v';
        default:
            return c;
    }
}

/// Digits of an unsigned number given as little-endian bytes.
std::string decimalOf(std::vector<std::uint32_t> words) {
    std::string reversed;
    while (!words.empty()) {
        std::uint64_t remainder = 0;
        for (std::size_t i = words.size(); i-- > 0;) {
            const std::uint64_t part = remainder << 32 | words[i];
            words[i] = static_cast<std::uint32_t>(part / 1000000000u);
            remainder = part % 1000000000u;
        }
        while (!words.empty() && words.back() == 0) words.pop_back();
        for (int digit = 0; digit < 9 && (remainder > 0 || !words.empty()); ++digit) {
            reversed += static_cast<char>('0' + remainder % 10);
            remainder /= 10;
        }
    }
    return {reversed.rbegin(), reversed.rend()};
}

}  // namespace

bool isValidUtf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = sequenceLength(text, i);
        if (length == 0) return false;
        i += length;
    }
    return true;
}

std::string sanitisedUtf8(std::string text) {
    if (isValidUtf8(text)) return text;
    std::string result;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = sequenceLength(text, i);
        if (length == 0) {
            result += "\xef\xbf\xbd";
            ++i;
        } else {
            result.append(text, i, length);
            i += length;
        }
    }
    return result;
}

std::string printableText(std::string text) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return text;
}

PickleValue textOrBytes(std::string text) {
    return isValidUtf8(text) ? PickleValue(std::move(text)) : PickleValue::bytes(std::move(text));
}

std::optional<PickleValue> parsePickleInt(std::string_view line) {
    if (line == "00") return PickleValue(false);
    if (line == "01") return PickleValue(true);
    if (!line.empty() && line.back() == 'L') line.remove_suffix(1);
    const std::string_view digits = line.substr(!line.empty() && line.front() == '-' ? 1 : 0);
    if (digits.empty() || digits.size() > 2500 || digits.find_first_not_of("0123456789") != std::string_view::npos)
        return std::nullopt;
    std::int64_t value = 0;
    const auto result = std::from_chars(line.data(), line.data() + line.size(), value);
    if (result.ec == std::errc::result_out_of_range) return PickleValue::bigInt(std::string(line));
    return PickleValue(value);
}

std::optional<PickleValue> parsePickleFloat(std::string_view line) {
    double value = 0;
    const auto result = std::from_chars(line.data(), line.data() + line.size(), value);
    if (result.ec != std::errc() || result.ptr != line.data() + line.size() || line.empty()) return std::nullopt;
    return PickleValue(value);
}

std::optional<PickleValue> parsePickleString(std::string_view line) {
    if (line.size() < 2 || line.front() != line.back() || (line.front() != '\'' && line.front() != '"'))
        return std::nullopt;
    line = line.substr(1, line.size() - 2);
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] != '\\') {
            text += line[i];
            continue;
        }
        if (++i == line.size()) return std::nullopt;
        if (line[i] == 'x') {
            const auto code = parseHex(line, i + 1, 2);
            if (!code) return std::nullopt;
            text += static_cast<char>(*code);
            i += 2;
        } else {
            text += simpleEscape(line[i]);
        }
    }
    return textOrBytes(std::move(text));
}

std::optional<PickleValue> parsePickleUnicode(std::string_view line) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const bool escaped = line[i] == '\\' && i + 1 < line.size() && (line[i + 1] == 'u' || line[i + 1] == 'U');
        if (!escaped) {
            appendUtf8(text, static_cast<unsigned char>(line[i]));
            continue;
        }
        const std::size_t digits = line[i + 1] == 'u' ? 4 : 8;
        const auto code = parseHex(line, i + 2, digits);
        if (!code) return std::nullopt;
        appendUtf8(text, *code);
        i += 1 + digits;
    }
    return PickleValue(std::move(text));
}

PickleValue integerFromBytes(std::span<const std::uint8_t> bytes) {
    if (bytes.empty()) return 0;
    const bool negative = (bytes.back() & 0x80u) != 0;
    const auto byteAt = [&](std::size_t i) -> std::uint8_t {
        return i < bytes.size() ? bytes[i] : negative ? 0xff : 0;
    };
    if (bytes.size() <= 8) {
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < 8; ++i) value |= static_cast<std::uint64_t>(byteAt(i)) << (8 * i);
        return static_cast<std::int64_t>(value);
    }
    // Magnitude of the number: of a negative one the complement plus one.
    std::vector<std::uint32_t> words(bytes.size() / 4 + 1);
    std::uint64_t carry = negative ? 1 : 0;
    for (std::size_t w = 0; w < words.size(); ++w) {
        std::uint32_t word = 0;
        for (std::size_t i = 0; i < 4; ++i) word |= static_cast<std::uint32_t>(byteAt(4 * w + i)) << (8 * i);
        carry += negative ? static_cast<std::uint32_t>(~word) : word;
        words[w] = static_cast<std::uint32_t>(carry);
        carry >>= 32;
    }
    std::string text = decimalOf(std::move(words));
    if (text.empty()) return 0;
    if (negative) text.insert(text.begin(), '-');
    return parsePickleInt(text).value_or(PickleValue(0));
}

std::string integerToBytes(const PickleValue& value) {
    std::string digits = value.asDecimal();
    const bool negative = !digits.empty() && digits.front() == '-';
    std::string bytes;  // magnitude, least significant first
    for (const char digit : std::string_view(digits).substr(negative ? 1 : 0)) {
        if (digit < '0' || digit > '9') throw DataError(fmt::format("\"{}\" is not an integer", digits));
        unsigned carry = static_cast<unsigned>(digit - '0');
        for (char& byte : bytes) {
            carry += static_cast<unsigned char>(byte) * 10u;
            byte = static_cast<char>(carry & 0xff);
            carry >>= 8;
        }
        if (carry > 0) bytes += static_cast<char>(carry);
    }
    bytes += '\0';  // room for the sign
    if (negative) {
        unsigned carry = 1;
        for (char& byte : bytes) {
            carry += static_cast<unsigned char>(~byte) & 0xffu;
            byte = static_cast<char>(carry & 0xff);
            carry >>= 8;
        }
    }
    // No more bytes than the sign needs.
    while (bytes.size() > 1) {
        const auto last = static_cast<unsigned char>(bytes.back());
        const bool signBelow = (static_cast<unsigned char>(bytes[bytes.size() - 2]) & 0x80u) != 0;
        if (!((last == 0 && !signBelow) || (last == 0xff && signBelow))) break;
        bytes.pop_back();
    }
    return bytes;
}

std::optional<std::string> encodeLatin1(std::string_view utf8) {
    std::string bytes;
    bytes.reserve(utf8.size());
    for (std::size_t i = 0; i < utf8.size();) {
        const std::size_t length = sequenceLength(utf8, i);
        const auto first = static_cast<unsigned char>(utf8[i]);
        if (length == 1) {
            bytes += static_cast<char>(first);
        } else if (length == 2 && first <= 0xc3) {
            bytes += static_cast<char>((first & 3u) << 6 | (static_cast<unsigned char>(utf8[i + 1]) & 0x3fu));
        } else {
            return std::nullopt;
        }
        i += length;
    }
    return bytes;
}

std::string decodeLatin1(std::string_view bytes) {
    std::string text;
    text.reserve(bytes.size());
    for (const char c : bytes) appendUtf8(text, static_cast<unsigned char>(c));
    return text;
}

}  // namespace medseg
