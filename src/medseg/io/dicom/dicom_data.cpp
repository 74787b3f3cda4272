#include "medseg/io/dicom/dicom_data.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include <fmt/format.h>
#include <zlib.h>

#include "medseg/base/error.h"
#include "medseg/io/pickle_text.h"

namespace medseg::dicom {
namespace {

constexpr std::size_t kMarkOffset = 128, kMetaStart = 132;
constexpr std::string_view kMark = "DICM";
constexpr std::uint32_t kUndefined = 0xffffffff;
constexpr Tag kPixelData = 0x7fe00010, kItem = 0xfffee000, kItemEnd = 0xfffee00d, kSequenceEnd = 0xfffee0dd,
              kTransferSyntax = 0x00020010;
constexpr std::uint16_t kMetaGroup = 0x0002, kDelimiterGroup = 0xfffe;
constexpr int kMaxDepth = 32;
constexpr std::string_view kImplicitLittle = "1.2.840.10008.1.2", kExplicitBig = "1.2.840.10008.1.2.2",
                           kDeflated = "1.2.840.10008.1.2.1.99";
/// Value representations whose length takes four bytes (PS3.5, 7.1.2).
constexpr std::string_view kLongRepresentations = "OB OD OF OL OV OW SQ SV UC UN UR UT UV ";
constexpr std::size_t kMaxInflated = std::size_t{1} << 31;

/// Walks over elements and items with checked lengths.
class Walker {
  public:
    using Visit = std::function<void(const Element&)>;

    Walker(ByteSpan bytes, const std::string& source) : bytes_(bytes), source_(source) {}

    /// Elements in [at, end); ends early behind the delimiter of an item, or at the group `stopGroup` does not hold.
    /// Returns the position behind.
    std::size_t elements(std::size_t at, std::size_t end, Encoding encoding, int depth, const Visit& visit,
                         std::uint16_t onlyGroup = 0) const {
        if (depth > kMaxDepth) fail(fmt::format("damaged: its sequences are nested over {} deep", kMaxDepth));
        while (end - at >= 8) {
            if (onlyGroup != 0 && loadNumber<std::uint16_t>(bytes_.data() + at, encoding.order) != onlyGroup) break;
            const Head head = headAt(at, end, encoding);
            if (head.tag == kItemEnd) return head.value;
            if (depth == 0 && head.tag == kPixelData) {
                visit(pixelData(head, end, encoding));
                return end;  // only padding may follow
            }
            std::size_t next = head.value + head.length, last = next;
            Encoding inner = encoding;
            inner.isExplicit = encoding.isExplicit && !head.isUnknown;  // sequences called UN are implicit inside
            if (head.length == kUndefined) {
                next = items(head.value, end, inner, depth + 1, {}, true);
                last = next - 8;
            } else if (head.length > end - head.value) {
                truncated(head.tag, head.length, end - head.value);
            }
            visit({head.tag, bytes_.subspan(head.value, last - head.value), inner, false});
            at = next;
        }
        return end - at < 8 && onlyGroup == 0 ? end : at;
    }

    /// Items in [at, end), up to the delimiter of the sequence if it has one. `visit` receives each item's elements.
    std::size_t items(std::size_t at, std::size_t end, Encoding encoding, int depth,
                      const std::function<void(std::vector<Element>)>& visit, bool needsDelimiter) const {
        while (end - at >= 8) {
            const Tag tag = tagAt(at, encoding.order);
            const auto length = loadNumber<std::uint32_t>(bytes_.data() + at + 4, encoding.order);
            at += 8;
            if (tag == kSequenceEnd) return at;
            if (tag != kItem)
                fail(fmt::format("damaged: ({:04x},{:04x}) where an item should begin", tag >> 16, tag & 0xffff));
            std::vector<Element> found;
            const auto collect = [&](const Element& element) {
                if (visit) found.push_back(element);
            };
            if (length == kUndefined) {
                at = elements(at, end, encoding, depth, collect);
            } else {
                if (length > end - at) truncated(tag, length, end - at);
                if (visit) elements(at, at + length, encoding, depth, collect);
                at += length;
            }
            if (visit) visit(std::move(found));
        }
        if (needsDelimiter) fail("truncated: a sequence has no end");
        return end;
    }

  private:
    struct Head {
        Tag tag = 0;
        std::uint32_t length = 0;
        std::size_t value = 0;  // where it begins
        bool isUnknown = false;
    };

    [[noreturn]] void fail(const std::string& problem) const { throw DataError(source_, problem); }

    [[noreturn]] void truncated(Tag tag, std::uint64_t claimed, std::uint64_t present) const {
        fail(fmt::format("truncated or damaged: {} ({:04x},{:04x}) claims {} bytes, the file holds {} more",
                         tag == kPixelData ? "the pixel data" : "element", tag >> 16, tag & 0xffff, claimed, present));
    }

    Tag tagAt(std::size_t at, ByteOrder order) const {
        return Tag{loadNumber<std::uint16_t>(bytes_.data() + at, order)} << 16 |
               loadNumber<std::uint16_t>(bytes_.data() + at + 2, order);
    }

    /// At least 8 bytes are there.
    Head headAt(std::size_t at, std::size_t end, Encoding encoding) const {
        Head head{tagAt(at, encoding.order), 0, at + 8, false};
        const std::uint8_t* bytes = bytes_.data() + at;
        if (!encoding.isExplicit || head.tag >> 16 == kDelimiterGroup) {
            head.length = loadNumber<std::uint32_t>(bytes + 4, encoding.order);
            return head;
        }
        const std::string vr(bytes + 4, bytes + 6);
        if (!std::all_of(vr.begin(), vr.end(), [](char c) { return c >= 'A' && c <= 'Z'; }))
            fail(fmt::format("damaged: element ({:04x},{:04x}) has no value representation", head.tag >> 16,
                             head.tag & 0xffff));
        if (kLongRepresentations.find(vr + ' ') == std::string_view::npos) {
            head.length = loadNumber<std::uint16_t>(bytes + 6, encoding.order);
            return head;
        }
        if (end - at < 12) truncated(head.tag, 12, end - at);
        head.length = loadNumber<std::uint32_t>(bytes + 8, encoding.order);
        head.value = at + 12;
        head.isUnknown = vr == "UN";
        return head;
    }

    Element pixelData(const Head& head, std::size_t end, Encoding encoding) const {
        const bool isEncapsulated = head.length == kUndefined;
        if (!isEncapsulated && head.length > end - head.value) truncated(head.tag, head.length, end - head.value);
        const std::size_t length = isEncapsulated ? end - head.value : head.length;
        return {head.tag, bytes_.subspan(head.value, length), encoding, isEncapsulated};
    }

    ByteSpan bytes_;
    const std::string& source_;
};

std::string_view trimmedValue(ByteSpan value) {
    constexpr std::string_view kPadding(" \0\t\r\n", 5);
    const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
    const std::size_t first = text.find_first_not_of(kPadding);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kPadding) - first + 1);
}

ByteSpan valueOf(const Element* element) {
    return element != nullptr && !element->isEncapsulated ? element->value : ByteSpan();
}

template <typename T>
std::vector<T> binary(ByteSpan value, ByteOrder order) {
    std::vector<T> numbers(value.size() / sizeof(T));
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = loadNumber<T>(value.data() + i * sizeof(T), order);
    return numbers;
}

std::vector<Element> sorted(std::vector<Element> elements) {
    std::stable_sort(elements.begin(), elements.end(),
                     [](const Element& a, const Element& b) { return a.tag < b.tag; });
    return elements;
}

/// The rest of a file whose data set is one raw deflate stream.
std::vector<std::uint8_t> inflatedRest(ByteSpan input, const std::string& source) {
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
    stream.next_in = const_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(std::min<std::size_t>(input.size(), 0xffffffffu));
    std::vector<std::uint8_t> output;
    int status = Z_OK;
    while (status == Z_OK && output.size() < kMaxInflated) {
        const std::size_t done = output.size(), room = std::max<std::size_t>(input.size() * 2, std::size_t{1} << 16);
        output.resize(done + room);
        stream.next_out = output.data() + done;
        stream.avail_out = static_cast<uInt>(room);
        status = ::inflate(&stream, Z_NO_FLUSH);
        output.resize(output.size() - stream.avail_out);
        if (status == Z_OK && stream.avail_in == 0 && stream.avail_out > 0) status = Z_BUF_ERROR;
    }
    inflateEnd(&stream);
    if (status != Z_STREAM_END) throw DataError(source, "its deflated data set is truncated or damaged");
    return output;
}

/// A data set without the meta information in front, as some old programs write it.
Encoding guessedEncoding(ByteSpan bytes, std::size_t at) {
    const auto isLetter = [](std::uint8_t c) { return c >= 'A' && c <= 'Z'; };
    const bool hasLetters = bytes.size() > at + 6 && isLetter(bytes[at + 4]) && isLetter(bytes[at + 5]);
    return {hasLetters, ByteOrder::Little};
}

}  // namespace

const Element* DataSet::find(Tag tag) const {
    const auto found = std::lower_bound(elements_.begin(), elements_.end(), tag,
                                        [](const Element& element, Tag wanted) { return element.tag < wanted; });
    return found != elements_.end() && found->tag == tag ? &*found : nullptr;
}

std::string DataSet::text(Tag tag) const {
    return printableText(sanitisedUtf8(std::string(trimmedValue(valueOf(find(tag))))));
}

std::vector<double> DataSet::decimals(Tag tag) const {
    const ByteSpan value = valueOf(find(tag));
    std::string_view rest(reinterpret_cast<const char*>(value.data()), value.size());
    std::vector<double> values;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\\'), rest.size());
        std::string_view one = trimmedValue(value.subspan(value.size() - rest.size(), end));
        if (one.starts_with('+')) one.remove_prefix(1);
        double number = 0;
        const auto [last, error] = std::from_chars(one.data(), one.data() + one.size(), number);
        if (error != std::errc() || last != one.data() + one.size() || !std::isfinite(number)) return {};
        values.push_back(number);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return values;
}

std::optional<double> DataSet::decimal(Tag tag) const {
    const std::vector<double> values = decimals(tag);
    return values.empty() ? std::nullopt : std::optional(values.front());
}

int DataSet::integer(Tag tag) const {
    return static_cast<int>(std::clamp(decimal(tag).value_or(0), -2e9, 2e9));
}

std::optional<Vec3> DataSet::vector3(Tag tag) const {
    const std::vector<double> values = decimals(tag);
    if (values.size() != 3) return std::nullopt;
    return Vec3{values[0], values[1], values[2]};
}

std::vector<int> DataSet::shorts(Tag tag) const {
    const auto values = binary<std::uint16_t>(valueOf(find(tag)), order_);
    return {values.begin(), values.end()};
}

std::optional<int> DataSet::unsignedShort(Tag tag) const {
    const std::vector<int> values = shorts(tag);
    return values.empty() ? std::nullopt : std::optional(values.front());
}

std::optional<std::uint32_t> DataSet::unsignedLong(Tag tag) const {
    const auto values = binary<std::uint32_t>(valueOf(find(tag)), order_);
    return values.empty() ? std::nullopt : std::optional(values.front());
}

std::vector<DataSet> DataSet::items(Tag tag) const {
    const Element* element = find(tag);
    if (element == nullptr || element->isEncapsulated || element->value.size() < 8) return {};
    std::vector<DataSet> found;
    Walker(element->value, *source_)
        .items(
            0, element->value.size(), element->inner, 1,
            [&](std::vector<Element> elements) { found.emplace_back(sorted(std::move(elements)), order_, source_); },
            false);
    return found;
}

DataSet DataSet::first(Tag tag) const {
    std::vector<DataSet> all = items(tag);
    return all.empty() ? DataSet() : std::move(all.front());
}

Document::Document(const fs::path& path) : source_(path.string()), file_(path) {
    ByteSpan bytes = file_.bytes();
    const bool marked =
        bytes.size() >= kMetaStart && std::equal(kMark.begin(), kMark.end(), bytes.begin() + kMarkOffset);
    std::size_t at = marked ? kMetaStart : 0;
    Encoding encoding = guessedEncoding(bytes, at);
    const Walker meta(bytes, source_);
    at = meta.elements(
        at, bytes.size(), {true, ByteOrder::Little}, 1,
        [&](const Element& element) {
            if (element.tag == kTransferSyntax) transferSyntax_ = trimmedValue(element.value);
        },
        kMetaGroup);
    if (transferSyntax_.empty()) {
        encoding = guessedEncoding(bytes, at);
        transferSyntax_ = encoding.isExplicit ? "1.2.840.10008.1.2.1" : kImplicitLittle;
    } else {
        encoding = {transferSyntax_ != kImplicitLittle,
                    transferSyntax_ == kExplicitBig ? ByteOrder::Big : ByteOrder::Little};
    }
    if (transferSyntax_ == kDeflated) {
        inflated_ = inflatedRest(bytes.subspan(at), source_);
        bytes = inflated_;
        at = 0;
    }
    constexpr std::uint16_t kFirstGroup = 0x0008;
    if (bytes.size() - at < 8 || loadNumber<std::uint16_t>(bytes.data() + at, encoding.order) > kFirstGroup)
        throw DataError(source_, "is truncated or not a DICOM file");
    std::vector<Element> elements;
    Walker(bytes, source_).elements(at, bytes.size(), encoding, 0, [&](const Element& element) {
        elements.push_back(element);
    });
    data_ = DataSet(sorted(std::move(elements)), encoding.order, &source_);
}

std::vector<ByteSpan> fragmentsOf(const Element& pixelData, const std::string& source) {
    std::vector<ByteSpan> fragments;
    ByteSpan rest = pixelData.value;
    while (rest.size() >= 8) {
        const Tag tag = Tag{loadNumber<std::uint16_t>(rest.data())} << 16 | loadNumber<std::uint16_t>(rest.data() + 2);
        const auto length = loadNumber<std::uint32_t>(rest.data() + 4);
        rest = rest.subspan(8);
        if (tag == kSequenceEnd) return fragments;
        if (tag != kItem || length > rest.size())
            throw DataError(source,
                            fmt::format("truncated or damaged: fragment {} of the pixel data claims {} bytes, the "
                                        "file holds {} more",
                                        fragments.size(), length, rest.size()));
        fragments.push_back(rest.first(length));
        rest = rest.subspan(length);
    }
    throw DataError(source, "truncated: the compressed pixel data have no end");
}

}  // namespace medseg::dicom
