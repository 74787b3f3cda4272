// Numbers and strings as pickles spell them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "medseg/io/pickle_value.h"

namespace medseg {

/// The text with every byte that is not part of valid UTF-8 replaced by U+FFFD.
std::string sanitisedUtf8(std::string text);
/// The text with control characters replaced by '?': file contents must not break lines or steer a terminal.
std::string printableText(std::string text);
bool isValidUtf8(std::string_view text);
/// A Python 2 str: text if it is valid UTF-8, else bytes.
PickleValue textOrBytes(std::string text);

/// Protocol 0 lines. Empty when the line is malformed.
std::optional<PickleValue> parsePickleInt(std::string_view line);
std::optional<PickleValue> parsePickleFloat(std::string_view line);
/// 'quoted' with Python's escapes.
std::optional<PickleValue> parsePickleString(std::string_view line);
/// Latin-1 with \uXXXX and \UXXXXXXXX.
std::optional<PickleValue> parsePickleUnicode(std::string_view line);

/// Two's complement, least significant byte first; empty bytes are 0.
PickleValue integerFromBytes(std::span<const std::uint8_t> bytes);
/// The reverse, for any int value. Throws DataError if `value` is no int.
std::string integerToBytes(const PickleValue& value);

/// Python's text.encode("latin-1"). Empty if a character lies above U+00FF or the text is no valid UTF-8.
std::optional<std::string> encodeLatin1(std::string_view utf8);
/// Python's bytes.decode("latin-1").
std::string decodeLatin1(std::string_view bytes);

}  // namespace medseg
