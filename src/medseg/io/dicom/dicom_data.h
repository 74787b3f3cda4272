// DICOM data sets (PS3.5, 7 and 10), read where they lie in memory. Every length is checked against the file: damaged
// and malicious files end in a DataError, whatever they claim.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "medseg/base/files.h"
#include "medseg/io/byte_order.h"
#include "medseg/io/deflate.h"
#include "medseg/volume/geometry.h"

namespace medseg::dicom {

/// Group in the upper half: 0x7fe00010 is (7fe0,0010).
using Tag = std::uint32_t;

struct Encoding {
    bool isExplicit = true;  ///< elements carry their value representation
    ByteOrder order = ByteOrder::Little;
};

struct Element {
    Tag tag = 0;
    ByteSpan value;               ///< of sequences: the items
    Encoding inner;               ///< of the elements in its items
    bool isEncapsulated = false;  ///< pixel data in fragments
};

/// A data set, or an item of a sequence: a view into the document that must outlive it. What is missing or malformed
/// reads as nothing.
class DataSet {
  public:
    DataSet() = default;
    DataSet(std::vector<Element> elements, ByteOrder order, const std::string* source)
        : elements_(std::move(elements)), order_(order), source_(source) {}

    bool empty() const { return elements_.empty(); }
    const Element* find(Tag tag) const;
    /// Text without padding, printable. Several values stay joined by '\'.
    std::string text(Tag tag) const;
    /// Numbers written as text (DS, IS).
    std::vector<double> decimals(Tag tag) const;
    std::optional<double> decimal(Tag tag) const;
    /// IS, 0 when missing.
    int integer(Tag tag) const;
    /// Three decimals, else nothing.
    std::optional<Vec3> vector3(Tag tag) const;
    /// US.
    std::vector<int> shorts(Tag tag) const;
    std::optional<int> unsignedShort(Tag tag) const;
    /// UL.
    std::optional<std::uint32_t> unsignedLong(Tag tag) const;
    /// The items of a sequence. Throws DataError when they are damaged.
    std::vector<DataSet> items(Tag tag) const;
    /// The first item; empty when there is none.
    DataSet first(Tag tag) const;

    ByteOrder byteOrder() const { return order_; }

  private:
    std::vector<Element> elements_;  // in ascending order of tags
    ByteOrder order_ = ByteOrder::Little;
    const std::string* source_ = nullptr;
};

/// A DICOM file. Move it not while data sets of it are in use.
class Document {
  public:
    /// Throws DataError: missing, damaged, truncated, not DICOM, sequences nested over 32 deep.
    explicit Document(const std::filesystem::path& path);
    Document(const Document&) = delete;
    Document& operator=(const Document&) = delete;

    const DataSet& data() const { return data_; }
    const std::string& transferSyntax() const { return transferSyntax_; }
    const std::string& source() const { return source_; }

  private:
    std::string source_;
    MappedFile file_;
    std::vector<std::uint8_t> inflated_;  // of deflated data sets
    std::string transferSyntax_;
    DataSet data_;
};

/// The fragments of encapsulated pixel data, the offset table first. Throws DataError (naming `source`).
std::vector<ByteSpan> fragmentsOf(const Element& pixelData, const std::string& source);

}  // namespace medseg::dicom
