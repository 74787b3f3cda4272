#include "medseg/io/metaimage.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/lps.h"
#include "medseg/io/text_header.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

constexpr std::string_view kAttachedEnding = ".mha", kDetachedEnding = ".mhd";
constexpr int kMaxHeaderLines = 10'000;

struct TypeName {
    std::string_view meta, numpy;
};
/// The first name of a type is the one that is written.
constexpr TypeName kTypes[] = {
    {"MET_UCHAR", "uint8"},   {"MET_CHAR", "int8"},      {"MET_USHORT", "uint16"},     {"MET_SHORT", "int16"},
    {"MET_UINT", "uint32"},   {"MET_INT", "int32"},      {"MET_ULONG_LONG", "uint64"}, {"MET_LONG_LONG", "int64"},
    {"MET_FLOAT", "float32"}, {"MET_DOUBLE", "float64"}, {"MET_ULONG", "uint32"},      {"MET_LONG", "int32"},
};

using Fields = std::map<std::string, std::string>;

class Interpreter {
  public:
    explicit Interpreter(const fs::path& path) : path_(path), source_(path.string()) {}

    TextHeaderImage run() {
        readFields();
        const std::string type = first({"ElementType"});
        const auto* known =
            std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) { return t.meta == type; });
        if (known == std::end(kTypes))
            throw DataError(source_, fmt::format("voxels of type \"{}\" are not supported", type.substr(0, 40)));
        image_.layout.type = known->numpy;
        readSizes();
        image_.layout.geometry = Geometry(spatialSize(), affine());
        placeVoxels();
        finishHeader();
        return std::move(image_);
    }

  private:
    void readFields() {
        const MappedFile file(path_);
        LineReader lines(file.bytes(), source_);
        for (int count = 0; count < kMaxHeaderLines; ++count) {
            const auto line = lines.next();
            if (!line) break;
            const std::size_t equals = line->find('=');
            if (equals == std::string::npos) {
                if (trimmed(*line).empty()) continue;
                break;
            }
            const std::string key(trimmed(std::string_view(*line).substr(0, equals)));
            fields_[key] = trimmed(std::string_view(*line).substr(equals + 1));
            if (key == "ElementDataFile") {
                image_.place.offset = lines.position();
                return;
            }
        }
        throw DataError(source_, "damaged or truncated MetaImage header: no \"ElementDataFile\"");
    }

    /// The value of the first key that is present.
    std::string first(std::initializer_list<const char*> keys) const {
        for (const char* key : keys)
            if (const auto found = fields_.find(key); found != fields_.end()) return found->second;
        return {};
    }

    bool flag(std::initializer_list<const char*> keys) const {
        const std::string value = first(keys);
        return !value.empty() && (value.front() == 'T' || value.front() == 't' || value.front() == '1');
    }

    /// `count` numbers of the first key that is present; empty when none is.
    std::vector<double> numbers(std::initializer_list<const char*> keys, std::size_t count) const {
        const std::string text = first(keys);
        if (text.empty()) return {};
        const auto values = numbersIn(text, source_, *keys.begin());
        if (values.size() != count)
            throw DataError(source_, fmt::format("{}: {} numbers instead of {}", *keys.begin(), values.size(), count));
        return values;
    }

    void readSizes() {
        sizes_ = sizesIn(first({"DimSize"}), voxelTypeSize(image_.layout.type), source_, "DimSize");
        if (const auto dims = numbers({"NDims"}, 1); dims.empty() || dims[0] != static_cast<double>(sizes_.size()))
            throw DataError(source_, "damaged MetaImage header: NDims and DimSize do not agree");
        if (sizes_.size() < 2 || sizes_.size() > 4)
            throw DataError(source_, fmt::format("images of {} dimensions are not supported", sizes_.size()));
        if (const auto channels = numbers({"ElementNumberOfChannels"}, 1); !channels.empty()) {
            constexpr double kMost = 1024;
            if (!(channels[0] >= 1 && channels[0] <= kMost) || channels[0] != std::floor(channels[0]))
                throw DataError(source_, "impossible ElementNumberOfChannels");
            channels_ = static_cast<std::int64_t>(channels[0]);
        }
        if (channels_ > 1 && sizes_.size() > 3) throw DataError(source_, "series of vectors are not supported");
    }

    Index3 spatialSize() const {
        Index3 size{1, 1, 1};
        std::copy_n(sizes_.begin(), std::min<std::size_t>(3, sizes_.size()), size.begin());
        return size;
    }

    Affine affine() const {
        const std::size_t dims = sizes_.size(), used = std::min<std::size_t>(3, dims);
        const auto directions = numbers({"TransformMatrix", "Rotation", "Orientation"}, dims * dims);
        const auto origin = numbers({"Offset", "Origin", "Position"}, dims);
        const auto spacing = numbers({"ElementSpacing", "ElementSize"}, dims);
        Affine lps = identityAffine();
        for (std::size_t axis = 0; axis < used; ++axis) {
            const double step = spacing.empty() ? 1 : std::abs(spacing[axis]);
            for (std::size_t row = 0; row < used; ++row) {
                const double direction = directions.empty() ? (row == axis ? 1 : 0) : directions[axis * dims + row];
                lps[row][axis] = direction * step;
            }
            if (!origin.empty()) lps[axis][3] = origin[axis];
        }
        return lpsFlipped(lps);
    }

    void placeVoxels() {
        VoxelPlace& place = image_.place;
        if (first({"BinaryData"}) == "False") throw DataError(source_, "voxels written as text are not supported");
        if (flag({"BinaryDataByteOrderMSB", "ElementByteOrderMSB"})) image_.layout.byteOrder = ByteOrder::Big;
        if (flag({"CompressedData"})) place.encoding = ByteSource::Encoding::Zlib;
        place.file = path_;
        const std::string data = first({"ElementDataFile"});
        if (data.starts_with("LIST") || data.find('%') != std::string::npos)
            throw DataError(source_, "its voxels are spread over several files: not supported");
        if (data != "LOCAL" && data != "Local" && data != "local") {
            place.file = dataFileBeside(path_, data);
            place.offset = 0;
        }
        if (const auto skip = numbers({"HeaderSize"}, 1); !skip.empty() && skip[0] != 0) {
            constexpr double kMost = 1e15;
            if (skip[0] != std::floor(skip[0]) || skip[0] < -1 || skip[0] > kMost)
                throw DataError(source_, "impossible HeaderSize");
            place.atEnd = skip[0] == -1;
            if (!place.atEnd) place.offset = static_cast<std::uint64_t>(skip[0]);
        }
        if (place.atEnd && place.encoding != ByteSource::Encoding::Plain)
            throw DataError(source_, "HeaderSize -1 needs uncompressed voxels");
    }

    void finishHeader() {
        ImageHeader& header = image_.header;
        header.format = "MetaImage";
        header.geometry = image_.layout.geometry;
        const Index3& size = header.geometry.size();
        header.shape.assign(size.begin(), size.end());
        if (sizes_.size() == 4 && sizes_[3] > 1) header.shape.push_back(sizes_[3]);
        if (channels_ > 1) header.shape.push_back(channels_);
        image_.layout.shape = header.shape;
        image_.layout.interleaved = channels_ > 1;
        header.storedType = image_.layout.type;
    }

    fs::path path_;
    std::string source_;
    Fields fields_;
    TextHeaderImage image_;
    std::vector<std::int64_t> sizes_;
    std::int64_t channels_ = 1;
};

std::string headerText(const AnyVolume& volume, std::uint64_t compressedSize, const std::string& dataFile) {
    const Geometry& geometry = geometryOf(volume);
    const Affine lps = lpsFlipped(geometry.affine());
    const Vec3 spacing = geometry.spacing();
    std::string directions;
    for (int axis = 0; axis < 3; ++axis)
        for (int row = 0; row < 3; ++row) directions += fmt::format(" {}", lps[row][axis] / spacing[axis]);
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&](const TypeName& t) { return t.numpy == kVoxelTypeNames[volume.index()]; });
    // The size keeps its width, so that it can be filled in when it is known.
    return fmt::format(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = True\n"
        "CompressedDataSize = {:<20}\nTransformMatrix ={}\nOffset = {} {} {}\nCenterOfRotation = 0 0 0\n"
        "ElementSpacing = {} {} {}\nDimSize = {} {} {}\nElementType = {}\nElementDataFile = {}\n",
        compressedSize, directions, lps[0][3], lps[1][3], lps[2][3], spacing[0], spacing[1], spacing[2], geometry.nx(),
        geometry.ny(), geometry.nz(), type->meta, dataFile);
}

}  // namespace

bool isMetaImageName(const fs::path& path) {
    return endsWithIgnoringCase(path.string(), kAttachedEnding) || endsWithIgnoringCase(path.string(), kDetachedEnding);
}

bool looksLikeMetaImage(ByteSpan bytes) {
    const std::string start(bytes.begin(),
                            bytes.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(bytes.size(), 64)));
    return start.starts_with("ObjectType") || start.starts_with("NDims") || start.starts_with("Comment");
}

ImageHeader readMetaImageHeader(const fs::path& path) {
    return Interpreter(path).run().header;
}

StoredImage readMetaImage(const fs::path& path, const ReadOptions& options) {
    TextHeaderImage image = Interpreter(path).run();
    AnyVolume voxels = readPlacedVoxels(image, options);
    return {std::move(image.header), std::move(voxels)};
}

void writeMetaImage(const fs::path& path, const AnyVolume& volume, int level) {
    const std::string name = path.string();
    const ByteSpan voxels = voxelBytes(volume);
    if (!endsWithIgnoringCase(name, kDetachedEnding)) {
        AtomicFile file(path);
        file.write(headerText(volume, 0, "LOCAL"));
        const std::uint64_t size = writeZlib(file, voxels, level);
        const std::string header = headerText(volume, size, "LOCAL");
        file.writeAt(0, header.data(), header.size());
        return file.commit();
    }
    const fs::path dataFile = name.substr(0, name.size() - kDetachedEnding.size()) + ".zraw";
    AtomicFile data(dataFile);
    const std::uint64_t size = writeZlib(data, voxels, level);
    data.commit();
    writeTextFile(path, headerText(volume, size, dataFile.filename().string()));
}

}  // namespace medseg
