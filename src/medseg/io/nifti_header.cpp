#include "medseg/io/nifti_header.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/nifti_orientation.h"

namespace medseg {
namespace {

constexpr int kMaxDimensions = 7;
constexpr int kLastTransformCode = 5;  // 5 = other template
constexpr std::int16_t kAligned = 2;
constexpr std::uint8_t kMillimetres = 2;
constexpr std::size_t kExtenderSize = 4;
constexpr std::string_view kNifti2Signature{"\r\n\x1a\n", 4};

struct TypeFacts {
    NiftiType type;
    const char* name;
    int bits;
    bool readable;
};
constexpr TypeFacts kTypes[] = {{NiftiType::U8, "uint8", 8, true},
                                {NiftiType::I16, "int16", 16, true},
                                {NiftiType::I32, "int32", 32, true},
                                {NiftiType::F32, "float32", 32, true},
                                {NiftiType::F64, "float64", 64, true},
                                {NiftiType::I8, "int8", 8, true},
                                {NiftiType::U16, "uint16", 16, true},
                                {NiftiType::U32, "uint32", 32, true},
                                {NiftiType::I64, "int64", 64, true},
                                {NiftiType::U64, "uint64", 64, true},
                                {NiftiType::Complex64, "complex64", 64, false},
                                {NiftiType::RGB24, "rgb24", 24, false},
                                {NiftiType::F128, "float128", 128, false},
                                {NiftiType::Complex128, "complex128", 128, false},
                                {NiftiType::Complex256, "complex256", 256, false},
                                {NiftiType::RGBA32, "rgba32", 32, false}};

const TypeFacts* factsOf(NiftiType type) {
    for (const TypeFacts& facts : kTypes)
        if (facts.type == type) return &facts;
    return nullptr;
}

/// Where the fields lie in either version.
struct Layout {
    std::size_t headerSize, magic, datatype, bits, dimensions, pixdim, dataOffset, slope, inter, units;
    std::size_t qformCode, sformCode, quaternion, offsets, rows;
    std::size_t dimensionSize, realSize, codeSize;
};
constexpr Layout kNifti1{348, 344, 70, 72, 40, 76, 108, 112, 116, 123, 252, 254, 256, 268, 280, 2, 4, 2};
constexpr Layout kNifti2{540, 4, 12, 14, 16, 104, 168, 176, 184, 500, 344, 348, 352, 376, 400, 8, 8, 4};

const Layout& layoutOf(int version) {
    return version == 1 ? kNifti1 : kNifti2;
}

/// Reads fields of either version and byte order.
class FieldReader {
  public:
    FieldReader(ByteSpan bytes, int version, ByteOrder order)
        : bytes_(bytes), layout_(layoutOf(version)), order_(order) {}

    std::int64_t dimension(int i) const {
        const std::uint8_t* at = &bytes_[layout_.dimensions + static_cast<std::size_t>(i) * layout_.dimensionSize];
        return layout_.dimensionSize == 2 ? loadNumber<std::int16_t>(at, order_) : loadNumber<std::int64_t>(at, order_);
    }
    double real(std::size_t offset, int i = 0) const {
        const std::uint8_t* at = &bytes_[offset + static_cast<std::size_t>(i) * layout_.realSize];
        return layout_.realSize == 4 ? loadNumber<float>(at, order_) : loadNumber<double>(at, order_);
    }
    int code(std::size_t offset) const {
        return layout_.codeSize == 2 ? loadNumber<std::int16_t>(&bytes_[offset], order_)
                                     : loadNumber<std::int32_t>(&bytes_[offset], order_);
    }
    int datatype() const { return loadNumber<std::int16_t>(&bytes_[layout_.datatype], order_); }
    const Layout& layout() const { return layout_; }

  private:
    ByteSpan bytes_;
    const Layout& layout_;
    ByteOrder order_;
};

/// Codes outside the standard count as "unknown".
bool isSet(int transformCode) {
    return transformCode > 0 && transformCode <= kLastTransformCode;
}

Affine readAffine(const FieldReader& fields, const Index3& size) {
    const Layout& layout = fields.layout();
    Affine affine = identityAffine();
    if (isSet(fields.code(layout.sformCode))) {
        for (int row = 0; row < 3; ++row)
            for (int column = 0; column < 4; ++column) affine[row][column] = fields.real(layout.rows, 4 * row + column);
        return affine;
    }
    // Sizes of exactly zero would make the grid flat; negative ones are meant as lengths.
    Vec3 spacing{};
    for (int axis = 0; axis < 3; ++axis) spacing[axis] = std::abs(fields.real(layout.pixdim, axis + 1));
    if (isSet(fields.code(layout.qformCode))) {
        const Quaternion quaternion{fields.real(layout.quaternion, 0), fields.real(layout.quaternion, 1),
                                    fields.real(layout.quaternion, 2), fields.real(layout.pixdim, 0) == -1.0};
        affine = affineFromQuaternion(quaternion, spacing);
        for (int row = 0; row < 3; ++row) affine[row][3] = fields.real(layout.offsets, row);
        return affine;
    }
    // Neither form: x towards the left and the origin in the centre, as nibabel has it from Analyze.
    for (int axis = 0; axis < 3; ++axis) {
        affine[axis][axis] = axis == 0 ? -spacing[axis] : spacing[axis];
        affine[axis][3] = -affine[axis][axis] * static_cast<double>(size[axis] - 1) / 2;
    }
    return affine;
}

std::vector<std::int64_t> readShape(const FieldReader& fields, const std::string& source) {
    const std::int64_t dimensions = fields.dimension(0);
    if (dimensions < 1 || dimensions > kMaxDimensions)
        throw DataError(source, fmt::format("damaged NIfTI header: {} dimensions, 1 to 7 are possible", dimensions));
    std::vector<std::int64_t> shape;
    std::int64_t voxels = 1;
    for (int i = 1; i <= dimensions; ++i) {
        shape.push_back(fields.dimension(i));
        if (shape.back() < 1)
            throw DataError(source, fmt::format("damaged NIfTI header: dimension {} has size {}", i, shape.back()));
        if (__builtin_mul_overflow(voxels, shape.back(), &voxels) ||
            voxels > std::numeric_limits<std::int64_t>::max() / 64)
            throw DataError(source, "damaged NIfTI header: the sizes give an impossibly large volume");
    }
    return shape;
}

void readScaling(const FieldReader& fields, NiftiHeader& header, const std::string& source) {
    const double slope = fields.real(fields.layout().slope), inter = fields.real(fields.layout().inter);
    if (slope == 0 || !std::isfinite(slope)) return;
    if (!std::isfinite(inter))
        throw DataError(source,
                        fmt::format("damaged NIfTI header: scl_slope {} with the invalid scl_inter {}", slope, inter));
    header.slope = slope;
    header.inter = inter;
}

std::uint64_t readDataOffset(const FieldReader& fields, ByteSpan bytes, const NiftiHeader& header,
                             const std::string& source) {
    const std::size_t at = fields.layout().dataOffset;
    double offset = 0;
    if (header.version == 1)
        offset = fields.real(at);
    else
        offset = static_cast<double>(loadNumber<std::int64_t>(&bytes[at], header.byteOrder));
    constexpr double kLargest = 1e15;
    if (!std::isfinite(offset) || offset < 0 || offset > kLargest)
        throw DataError(source, fmt::format("damaged NIfTI header: vox_offset {} is no place in a file", offset));
    const auto place = static_cast<std::uint64_t>(offset);
    if (!header.singleFile) return place;
    return std::max<std::uint64_t>(place, fields.layout().headerSize + kExtenderSize);
}

/// Version and byte order from the size field, which is 348 or 540 in one of the two orders.
void recognise(ByteSpan bytes, NiftiHeader& header, const std::string& source) {
    if (bytes.size() < sizeof(std::int32_t))
        throw DataError(source, fmt::format("truncated NIfTI header: {} bytes of 348", bytes.size()));
    for (const ByteOrder order : {ByteOrder::Little, ByteOrder::Big})
        for (const int version : {1, 2})
            if (loadNumber<std::int32_t>(bytes.data(), order) ==
                static_cast<std::int32_t>(layoutOf(version).headerSize)) {
                header.version = version;
                header.byteOrder = order;
                if (bytes.size() >= layoutOf(version).headerSize) return;
                throw DataError(source, fmt::format("truncated NIfTI header: {} bytes of {}", bytes.size(),
                                                    layoutOf(version).headerSize));
            }
    throw DataError(source, "no NIfTI file: the header size is neither 348 nor 540");
}

void checkMagic(ByteSpan bytes, NiftiHeader& header, const std::string& source) {
    const auto* text = reinterpret_cast<const char*>(&bytes[layoutOf(header.version).magic]);
    const std::string_view magic(text, 3);
    const char digit = static_cast<char>('0' + header.version);
    const bool single = magic[0] == 'n' && magic[1] == '+', pair = magic[0] == 'n' && magic[1] == 'i';
    if ((!single && !pair) || magic[2] != digit || text[3] != '\0')
        throw DataError(source, "wrong magic number: not a NIfTI file (plain Analyze is not supported)");
    if (header.version == 2 && std::string_view(text + 4, 4) != kNifti2Signature)
        throw DataError(source, "wrong magic number: the NIfTI-2 signature is damaged (a text-mode transfer?)");
    header.singleFile = single;
}

/// Writes fields of either version, little-endian.
class FieldWriter {
  public:
    FieldWriter(std::vector<std::uint8_t>& bytes, int version) : bytes_(bytes), layout_(layoutOf(version)) {}

    void dimension(int i, std::int64_t value) {
        std::uint8_t* at = &bytes_[layout_.dimensions + static_cast<std::size_t>(i) * layout_.dimensionSize];
        layout_.dimensionSize == 2 ? storeNumber(at, static_cast<std::int16_t>(value)) : storeNumber(at, value);
    }
    void real(std::size_t offset, int i, double value) {
        std::uint8_t* at = &bytes_[offset + static_cast<std::size_t>(i) * layout_.realSize];
        layout_.realSize == 4 ? storeNumber(at, static_cast<float>(value)) : storeNumber(at, value);
    }
    void code(std::size_t offset, int value) {
        layout_.codeSize == 2 ? storeNumber(&bytes_[offset], static_cast<std::int16_t>(value))
                              : storeNumber(&bytes_[offset], static_cast<std::int32_t>(value));
    }
    void shortCode(std::size_t offset, int value) { storeNumber(&bytes_[offset], static_cast<std::int16_t>(value)); }
    const Layout& layout() const { return layout_; }

  private:
    std::vector<std::uint8_t>& bytes_;
    const Layout& layout_;
};

void writeAffine(FieldWriter& fields, const Geometry& geometry) {
    const Layout& layout = fields.layout();
    const Affine& affine = geometry.affine();
    const Vec3 spacing = geometry.spacing();
    for (int axis = 0; axis < 3; ++axis) fields.real(layout.pixdim, axis + 1, spacing[axis]);
    fields.code(layout.sformCode, kAligned);
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < 4; ++column) fields.real(layout.rows, 4 * row + column, affine[row][column]);
    const std::optional<Quaternion> quaternion = quaternionFromAffine(affine);
    fields.real(layout.pixdim, 0, quaternion && quaternion->flipsThirdAxis ? -1 : 1);
    if (!quaternion) return;
    fields.code(layout.qformCode, kAligned);
    fields.real(layout.quaternion, 0, quaternion->b);
    fields.real(layout.quaternion, 1, quaternion->c);
    fields.real(layout.quaternion, 2, quaternion->d);
    for (int row = 0; row < 3; ++row) fields.real(layout.offsets, row, affine[row][3]);
}

}  // namespace

std::string niftiTypeName(NiftiType type) {
    const TypeFacts* facts = factsOf(type);
    return facts != nullptr ? facts->name : fmt::format("datatype {}", static_cast<int>(type));
}

std::size_t niftiTypeSize(NiftiType type) {
    const TypeFacts* facts = factsOf(type);
    return facts != nullptr && facts->readable ? static_cast<std::size_t>(facts->bits) / 8 : 0;
}

std::int64_t NiftiHeader::volumeCount() const {
    std::int64_t count = 1;
    for (std::size_t i = 3; i < shape.size(); ++i) count *= shape[i];
    return count;
}

NiftiHeader parseNiftiHeader(ByteSpan bytes, const std::string& source) {
    NiftiHeader header;
    recognise(bytes, header, source);
    checkMagic(bytes, header, source);
    const FieldReader fields(bytes, header.version, header.byteOrder);
    header.shape = readShape(fields, source);
    header.type = static_cast<NiftiType>(fields.datatype());
    readScaling(fields, header, source);
    header.dataOffset = readDataOffset(fields, bytes, header, source);
    Index3 size{1, 1, 1};
    for (std::size_t axis = 0; axis < std::min<std::size_t>(3, header.shape.size()); ++axis)
        size[axis] = header.shape[axis];
    try {
        header.geometry = Geometry(size, readAffine(fields, size));
    } catch (const DataError& error) {
        throw DataError(source, error.what());
    }
    return header;
}

std::vector<std::uint8_t> serializeNiftiHeader(const NiftiHeader& header, bool hasExtensions) {
    const Layout& layout = layoutOf(header.version);
    std::vector<std::uint8_t> bytes(layout.headerSize + kExtenderSize, 0);
    storeNumber(bytes.data(), static_cast<std::int32_t>(layout.headerSize));
    FieldWriter fields(bytes, header.version);
    const std::string magic =
        fmt::format("n{}{}", header.singleFile ? '+' : 'i', static_cast<char>('0' + header.version));
    std::copy(magic.begin(), magic.end(), bytes.begin() + static_cast<std::ptrdiff_t>(layout.magic));
    if (header.version == 2)
        std::copy(kNifti2Signature.begin(), kNifti2Signature.end(),
                  bytes.begin() + static_cast<std::ptrdiff_t>(layout.magic + 4));

    fields.shortCode(layout.datatype, static_cast<int>(header.type));
    fields.shortCode(layout.bits, factsOf(header.type)->bits);
    fields.dimension(0, static_cast<std::int64_t>(header.shape.size()));
    for (int i = 1; i <= kMaxDimensions; ++i) {
        const auto axis = static_cast<std::size_t>(i - 1);
        fields.dimension(i, axis < header.shape.size() ? header.shape[axis] : 1);
        fields.real(layout.pixdim, i, 1);
    }
    writeAffine(fields, header.geometry);
    fields.real(layout.slope, 0, header.slope);
    fields.real(layout.inter, 0, header.inter);
    if (header.version == 1) {
        fields.real(layout.dataOffset, 0, static_cast<double>(header.dataOffset));
        bytes[38] = 'r';  // "regular", which Analyze readers ask for
        bytes[layout.units] = kMillimetres;
    } else {
        storeNumber(&bytes[layout.dataOffset], static_cast<std::int64_t>(header.dataOffset));
        storeNumber(&bytes[layout.units], static_cast<std::int32_t>(kMillimetres));
    }
    if (hasExtensions) bytes[layout.headerSize] = 1;
    return bytes;
}

}  // namespace medseg
