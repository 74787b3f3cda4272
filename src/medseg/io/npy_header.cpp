#include "medseg/io/npy_header.h"

#include <cctype>
#include <charconv>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxDimensions = 64;

/// Walks over the Python literal {'descr': '<i2', 'fortran_order': False, 'shape': (3, 4), }.
class LiteralReader {
  public:
    LiteralReader(std::string_view text, const std::string& source) : text_(text), source_(source) {}

    void readInto(NpyHeader& header) {
        bool hasType = false, hasOrder = false, hasShape = false;
        expect('{');
        while (!accept('}')) {
            const std::string key = quoted();
            expect(':');
            if (key == "descr") {
                header.descriptor = typeDescriptor();
                hasType = true;
            } else if (key == "fortran_order") {
                header.fortranOrder = boolean();
                hasOrder = true;
            } else if (key == "shape") {
                header.shape = shape();
                hasShape = true;
            } else {
                fail(fmt::format("unknown key '{}'", key));
            }
            if (!accept(',')) {
                expect('}');
                break;
            }
        }
        if (!hasType || !hasOrder || !hasShape) fail("descr, fortran_order or shape is missing");
    }

  private:
    [[noreturn]] void fail(const std::string& problem) const {
        throw DataError(source_, "damaged npy header: " + problem);
    }
    void skipSpace() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    }
    bool accept(char c) {
        skipSpace();
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    void expect(char c) {
        if (!accept(c)) fail(fmt::format("'{}' expected at character {}", c, at_));
    }
    bool acceptWord(std::string_view word) {
        skipSpace();
        if (text_.substr(at_, word.size()) != word) return false;
        at_ += word.size();
        return true;
    }
    std::string quoted() {
        skipSpace();
        const char quote = at_ < text_.size() ? text_[at_] : '\0';
        if (quote != '\'' && quote != '"') fail(fmt::format("a quoted string expected at character {}", at_));
        const std::size_t end = text_.find(quote, at_ + 1);
        if (end == std::string_view::npos) fail("a quoted string does not end");
        const std::string value(text_.substr(at_ + 1, end - at_ - 1));
        at_ = end + 1;
        return value;
    }
    /// A type string; of a structured type, a list of fields, only the text is kept.
    std::string typeDescriptor() {
        skipSpace();
        if (at_ >= text_.size() || text_[at_] != '[') return quoted();
        const std::size_t start = at_;
        int depth = 0;
        do {
            if (at_ >= text_.size()) fail("the list of fields does not end");
            if (text_[at_] == '[') ++depth;
            if (text_[at_] == ']') --depth;
            ++at_;
        } while (depth > 0);
        return std::string(text_.substr(start, at_ - start));
    }
    bool boolean() {
        if (acceptWord("True")) return true;
        if (acceptWord("False")) return false;
        fail("True or False expected for fortran_order");
    }
    std::vector<std::int64_t> shape() {
        std::vector<std::int64_t> result;
        expect('(');
        while (!accept(')')) {
            skipSpace();
            std::int64_t n = 0;
            const char* begin = text_.data() + at_;
            const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), n);
            if (error != std::errc() || n < 0)
                fail(fmt::format("a size in shape is no number from 0 to 2^63 at character {}", at_));
            at_ += static_cast<std::size_t>(end - begin);
            acceptWord("L");  // Python 2 wrote long integers so
            result.push_back(n);
            if (result.size() > kMaxDimensions) fail(fmt::format("shape has more than {} dimensions", kMaxDimensions));
            if (!accept(',')) {
                expect(')');
                break;
            }
        }
        return result;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    const std::string& source_;
};

void interpretDescriptor(NpyHeader& header) {
    const std::string& text = header.descriptor;
    const bool hasMark = !text.empty() && std::string_view("<>|=").find(text[0]) != std::string_view::npos;
    header.byteOrder = hasMark && text[0] == '>' ? ByteOrder::Big : ByteOrder::Little;
    header.type = npyTypeFromCode(hasMark ? std::string_view(text).substr(1) : std::string_view(text));
}

}  // namespace

std::string NpyHeader::typeName() const {
    if (type) return npyTypeName(*type);
    return isObject() ? "object" : descriptor;
}

std::optional<std::uint64_t> NpyHeader::dataSize() const {
    std::uint64_t size = type ? npyTypeSize(*type) : 1;
    for (const auto n : shape)
        if (__builtin_mul_overflow(size, static_cast<std::uint64_t>(n), &size)) {
            // A zero among the sizes makes any shape small.
            return std::find(shape.begin(), shape.end(), 0) != shape.end() ? std::optional<std::uint64_t>(0)
                                                                           : std::nullopt;
        }
    return size;
}

void NpyHeader::requirePlainType(const std::string& source) const {
    if (isObject())
        throw DataError(source,
                        "is an array of Python objects (pickle), which is never loaded: save plain numbers instead");
    if (!type)
        throw DataError(source,
                        fmt::format("element type {} is not supported: save plain numbers instead", descriptor));
}

NpyHeader parseNpyHeader(ByteSpan bytes, const std::string& source) {
    constexpr std::size_t kVersionEnd = 8;
    const std::string_view start(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!start.starts_with(kMagic)) throw DataError(source, "no npy data: the magic number is missing");
    if (bytes.size() < kVersionEnd + 4) throw DataError(source, "truncated npy header");
    const int version = bytes[6];
    if (version < 1 || version > 3) throw DataError(source, fmt::format("npy version {} is not supported", version));
    const std::size_t lengthSize = version == 1 ? 2 : 4;
    const std::size_t length =
        version == 1 ? loadNumber<std::uint16_t>(&bytes[kVersionEnd]) : loadNumber<std::uint32_t>(&bytes[kVersionEnd]);
    if (length > bytes.size() - kVersionEnd - lengthSize || length > kMaxNpyHeaderSize)
        throw DataError(source, fmt::format("truncated npy header: {} bytes expected", length));
    NpyHeader header;
    header.dataOffset = kVersionEnd + lengthSize + length;
    LiteralReader(start.substr(kVersionEnd + lengthSize, length), source).readInto(header);
    interpretDescriptor(header);
    return header;
}

}  // namespace medseg
