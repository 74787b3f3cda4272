#include "medseg/io/dicom/dicom_lengths.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/byte_order.h"

namespace medseg {
namespace {

constexpr std::size_t kMetaStart = 132;
constexpr std::uint32_t kUndefined = 0xffffffff;
constexpr std::uint32_t kPixelData = 0x7fe00010, kItem = 0xfffee000, kItemEnd = 0xfffee00d, kSequenceEnd = 0xfffee0dd,
                        kTransferSyntax = 0x00020010;
constexpr int kMaxDepth = 32;
constexpr std::string_view kImplicitLittle = "1.2.840.10008.1.2", kExplicitBig = "1.2.840.10008.1.2.2",
                           kDeflated = "1.2.840.10008.1.2.1.99", kPrivateImplicitBig = "1.2.840.113619.5.2";
/// Value representations whose length takes four bytes (PS3.5, 7.1.2).
constexpr std::string_view kLongRepresentations = "OB OD OF OL OV OW SQ SV UC UN UR UT UV ";

/// Something the walk does not understand: it ends, GDCM decides.
struct Unknown {};

class Walker {
  public:
    Walker(ByteSpan file, const std::string& name) : file_(file), name_(name) {}

    void run() {
        std::size_t at = readMeta();
        if (syntax_ == kDeflated || syntax_ == kPrivateImplicitBig) return;
        order_ = syntax_ == kExplicitBig ? ByteOrder::Big : ByteOrder::Little;
        elements(at, file_.size(), syntax_ != kImplicitLittle, 0);
    }

  private:
    struct Element {
        std::uint32_t tag = 0;
        std::uint32_t length = 0;
        bool isSequence = false, isUnknown = false;
        std::size_t value = 0;  // where it begins
    };

    std::uint16_t u16(std::size_t at) const { return loadNumber<std::uint16_t>(file_.data() + at, order_); }
    std::uint32_t u32(std::size_t at) const { return loadNumber<std::uint32_t>(file_.data() + at, order_); }

    [[noreturn]] void truncated(std::uint32_t tag, std::uint64_t claimed, std::uint64_t present) const {
        throw DataError(name_, fmt::format("truncated or damaged: {} ({:04x},{:04x}) claims {} bytes, the file holds "
                                           "{} more",
                                           tag == kPixelData ? "the pixel data" : "element", tag >> 16, tag & 0xffff,
                                           claimed, present));
    }

    std::uint32_t tagAt(std::size_t at) const { return std::uint32_t{u16(at)} << 16 | u16(at + 2); }

    std::optional<Element> elementAt(std::size_t at, std::size_t end, bool isExplicit) const {
        if (end - at < 8) return std::nullopt;
        Element element;
        element.tag = tagAt(at);
        if (!isExplicit || element.tag >> 16 == 0xfffe) {
            element.length = u32(at + 4);
            element.value = at + 8;
            element.isUnknown = true;
            return element;
        }
        const std::string_view vr(reinterpret_cast<const char*>(file_.data()) + at + 4, 2);
        if (!std::all_of(vr.begin(), vr.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) throw Unknown();
        if (kLongRepresentations.find(std::string(vr) + ' ') == std::string_view::npos) {
            element.length = u16(at + 6);
            element.value = at + 8;
        } else {
            if (end - at < 12) truncated(element.tag, 12, end - at);
            element.length = u32(at + 8);
            element.value = at + 12;
            element.isSequence = vr == "SQ";
            element.isUnknown = vr == "UN";
        }
        return element;
    }

    void requireInside(const Element& element, std::size_t end) const {
        if (element.length > end - element.value) truncated(element.tag, element.length, end - element.value);
    }

    /// The file meta information is explicit and little-endian whatever follows.
    std::size_t readMeta() {
        constexpr std::string_view kMark = "DICM";
        if (file_.size() < kMetaStart ||
            !std::equal(kMark.begin(), kMark.end(), file_.begin() + kMetaStart - kMark.size()))
            throw Unknown();
        std::size_t at = kMetaStart;
        while (at + 8 <= file_.size() && u16(at) == 0x0002) {
            const Element element = *elementAt(at, file_.size(), true);
            requireInside(element, file_.size());
            if (element.tag == kTransferSyntax) {
                syntax_.assign(reinterpret_cast<const char*>(file_.data()) + element.value, element.length);
                while (!syntax_.empty() && (syntax_.back() == '\0' || syntax_.back() == ' ')) syntax_.pop_back();
            }
            at = element.value + element.length;
        }
        return at;
    }

    /// Elements in [at, end), or up to the end of an item of undefined length. Returns the position behind.
    std::size_t elements(std::size_t at, std::size_t end, bool isExplicit, int depth) {
        if (depth > kMaxDepth) throw DataError(name_, fmt::format("sequences are nested over {} deep", kMaxDepth));
        while (const auto element = elementAt(at, end, isExplicit)) {
            if (element->tag == kItemEnd) return element->value;
            if (element->length == kUndefined) {
                if (element->tag == kPixelData) {
                    fragments(element->value, end);
                    return end;
                }
                // A sequence that its writer called UN is implicit inside.
                at = items(element->value, end, isExplicit && !element->isUnknown, depth + 1, true);
                continue;
            }
            requireInside(*element, end);
            if (depth == 0 && element->tag == kPixelData) return end;  // padding may follow
            const std::size_t next = element->value + element->length;
            const bool looksLikeItems = element->length >= 8 && tagAt(element->value) == kItem;
            if (element->isSequence || (element->isUnknown && looksLikeItems))
                items(element->value, next, isExplicit && element->isSequence, depth + 1, false);
            at = next;
        }
        return end;
    }

    std::size_t items(std::size_t at, std::size_t end, bool isExplicit, int depth, bool untilDelimiter) {
        while (end - at >= 8) {
            const std::uint32_t tag = tagAt(at), length = u32(at + 4);
            at += 8;
            if (tag == kSequenceEnd) return at;
            if (tag != kItem) throw Unknown();
            if (length == kUndefined) {
                at = elements(at, end, isExplicit, depth);
                continue;
            }
            if (length > end - at) truncated(tag, length, end - at);
            elements(at, at + length, isExplicit, depth);
            at += length;
        }
        if (untilDelimiter && end == file_.size()) throw DataError(name_, "truncated: a sequence has no end");
        return end;
    }

    void fragments(std::size_t at, std::size_t end) const {
        while (end - at >= 8) {
            const std::uint32_t tag = tagAt(at), length = u32(at + 4);
            at += 8;
            if (tag == kSequenceEnd) return;
            if (tag != kItem) throw Unknown();
            if (length > end - at) truncated(kPixelData, length, end - at);
            at += length;
        }
        throw DataError(name_, "truncated: the compressed pixel data have no end");
    }

    ByteSpan file_;
    const std::string& name_;
    std::string syntax_;
    ByteOrder order_ = ByteOrder::Little;
};

}  // namespace

void checkDicomLengths(ByteSpan file, const std::string& name) {
    try {
        Walker(file, name).run();
    } catch (const Unknown&) {  // GDCM knows more encodings
    }
}

}  // namespace medseg
