#include "medseg/io/nrrd_header.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/io/lps.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

constexpr std::size_t kMaxAxes = 16;

using Fields = std::map<std::string, std::string>;

struct ParsedText {
    Fields fields;
    std::vector<std::pair<std::string, std::string>> metadata;
    std::size_t end = 0;  ///< first byte behind the header
};

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

/// Field names may be written with and without blanks.
std::string fieldName(std::string_view text) {
    std::string name = lower(trimmed(text));
    if (name == "datafile") return "data file";
    if (name == "lineskip") return "line skip";
    if (name == "byteskip") return "byte skip";
    if (name == "axismins" || name == "axis mins") return "axis mins";
    if (name == "centerings") return "centers";
    return name;
}

ParsedText parseText(ByteSpan bytes, const std::string& source) {
    LineReader lines(bytes, source);
    ParsedText parsed;
    const std::string magic = lines.next().value_or("");
    if (!magic.starts_with("NRRD000") || magic.size() != 8) throw DataError(source, "wrong magic: not a NRRD file");
    while (auto line = lines.next()) {
        if (line->empty()) break;
        if (line->front() == '#') continue;
        const std::size_t colon = line->find(':');
        if (colon == std::string::npos)
            throw DataError(source, fmt::format("damaged NRRD header: \"{}\" is no field", line->substr(0, 40)));
        if (colon + 1 < line->size() && (*line)[colon + 1] == '=') {
            parsed.metadata.emplace_back(line->substr(0, colon), line->substr(colon + 2));
            continue;
        }
        parsed.fields[fieldName(line->substr(0, colon))] = trimmed(std::string_view(*line).substr(colon + 1));
    }
    parsed.end = lines.position();
    return parsed;
}

std::string typeNamed(const std::string& type, const std::string& source) {
    static const std::map<std::string, const char*> kTypes{
        {"signed char", "int8"},
        {"int8", "int8"},
        {"int8_t", "int8"},
        {"uchar", "uint8"},
        {"unsigned char", "uint8"},
        {"uint8", "uint8"},
        {"uint8_t", "uint8"},
        {"short", "int16"},
        {"short int", "int16"},
        {"signed short", "int16"},
        {"signed short int", "int16"},
        {"int16", "int16"},
        {"int16_t", "int16"},
        {"ushort", "uint16"},
        {"unsigned short", "uint16"},
        {"unsigned short int", "uint16"},
        {"uint16", "uint16"},
        {"uint16_t", "uint16"},
        {"int", "int32"},
        {"signed int", "int32"},
        {"int32", "int32"},
        {"int32_t", "int32"},
        {"uint", "uint32"},
        {"unsigned int", "uint32"},
        {"uint32", "uint32"},
        {"uint32_t", "uint32"},
        {"longlong", "int64"},
        {"long long", "int64"},
        {"long long int", "int64"},
        {"signed long long", "int64"},
        {"signed long long int", "int64"},
        {"int64", "int64"},
        {"int64_t", "int64"},
        {"ulonglong", "uint64"},
        {"unsigned long long", "uint64"},
        {"unsigned long long int", "uint64"},
        {"uint64", "uint64"},
        {"uint64_t", "uint64"},
        {"float", "float32"},
        {"double", "float64"},
    };
    const auto found = kTypes.find(lower(type));
    if (found == kTypes.end())
        throw DataError(source, fmt::format("voxels of type \"{}\" are not supported", type.substr(0, 40)));
    return found->second;
}

/// Builds the image from the fields, step by step.
class Interpreter {
  public:
    Interpreter(ParsedText parsed, const fs::path& path)
        : fields_(std::move(parsed.fields)), end_(parsed.end), path_(path), source_(path.string()) {
        image_.metadata = std::move(parsed.metadata);
    }

    TextHeaderImage run() {
        image_.layout.type = typeNamed(required("type"), source_);
        sizes_ = sizesIn(required("sizes"), voxelTypeSize(image_.layout.type), source_, "sizes");
        const auto dimension = numbersIn(required("dimension"), source_, "dimension");
        if (sizes_.empty() || sizes_.size() > kMaxAxes || dimension.size() != 1 ||
            dimension[0] != static_cast<double>(sizes_.size()))
            throw DataError(source_, "damaged NRRD header: dimension and sizes do not agree");
        readDirections();
        arrangeAxes();
        placeVoxels();
        image_.layout.geometry = Geometry(spatialSize(), affine());
        finishHeader();
        return std::move(image_);
    }

  private:
    std::string field(const std::string& name) const {
        const auto found = fields_.find(name);
        return found == fields_.end() ? std::string() : found->second;
    }

    std::string required(const std::string& name) const {
        std::string value = field(name);
        if (value.empty()) throw DataError(source_, fmt::format("damaged or truncated NRRD header: no \"{}\"", name));
        return value;
    }

    /// "(1,0,0) none (0,0,2)": one vector for each axis; an empty one for none.
    std::vector<std::vector<double>> vectorsIn(const std::string& text, const std::string& what) const {
        std::vector<std::vector<double>> vectors;
        std::string_view rest = trimmed(text);
        while (!rest.empty()) {
            if (rest.starts_with("none")) {
                vectors.emplace_back();
                rest = trimmed(rest.substr(4));
                continue;
            }
            const std::size_t close = rest.find(')');
            if (rest.front() != '(' || close == std::string_view::npos)
                throw DataError(source_, fmt::format("damaged NRRD header: {}", what));
            std::string inner(rest.substr(1, close - 1));
            std::replace(inner.begin(), inner.end(), ',', ' ');
            vectors.push_back(numbersIn(inner, source_, what));
            rest = trimmed(rest.substr(close + 1));
        }
        return vectors;
    }

    void readDirections() {
        readSpace();
        directions_ = vectorsIn(field("space directions"), "space directions");
        const auto origin = vectorsIn(field("space origin"), "space origin");
        if (!origin.empty()) origin_ = origin.front();
        if (!directions_.empty() && directions_.size() != sizes_.size())
            throw DataError(source_, "damaged NRRD header: not one space direction for each axis");
        for (const auto& direction : directions_)
            if (!direction.empty() && (direction.size() < 2 || direction.size() > 3))
                throw DataError(source_, "space directions of other than two or three dimensions are not supported");
    }

    void readSpace() {
        const std::string space = lower(field("space"));
        const std::string base = space.substr(0, space.find("-time"));
        static const std::map<std::string, std::pair<double, double>> kSigns{
            {"right-anterior-superior", {1, 1}}, {"ras", {1, 1}},  {"rast", {1, 1}},
            {"left-anterior-superior", {-1, 1}}, {"las", {-1, 1}}, {"last", {-1, 1}},
        };
        const auto found = kSigns.find(base);
        if (found != kSigns.end()) signs_ = found->second;  // else LPS, or a space that ITK takes for it
    }

    bool isList(std::size_t axis) const {
        if (!directions_.empty()) return directions_[axis].empty();
        const auto kinds = words(field("kinds"));
        if (axis >= kinds.size()) return false;
        const std::string kind = lower(kinds[axis]);
        return kind != "domain" && kind != "space" && kind != "???" && kind != "none";
    }

    /// Which axes lie in space; the one that does not, if any, must be the first or the last.
    void arrangeAxes() {
        std::vector<std::size_t> others;
        for (std::size_t axis = 0; axis < sizes_.size(); ++axis) (isList(axis) ? others : spatial_).push_back(axis);
        while (spatial_.size() > 3) {  // without directions the axes behind the third count volumes
            others.push_back(spatial_.back());
            spatial_.pop_back();
        }
        std::erase_if(others, [&](std::size_t axis) { return sizes_[axis] == 1; });
        if (spatial_.size() < 2) throw DataError(source_, "has fewer than two axes in space");
        if (others.size() > 1) throw DataError(source_, "has more than one axis besides those in space: not supported");
        if (others.empty()) return;
        const std::size_t axis = others.front();
        if (axis > spatial_.front() && axis < spatial_.back())
            throw DataError(source_, "has its list axis between axes in space: not supported");
        image_.layout.interleaved = axis < spatial_.front();
        volumes_ = sizes_[axis];
        isColour_ = image_.layout.interleaved && lower(field("kinds")).find("color") != std::string::npos;
    }

    Index3 spatialSize() const {
        Index3 size{1, 1, 1};
        for (std::size_t i = 0; i < spatial_.size(); ++i) size[i] = sizes_[spatial_[i]];
        return size;
    }

    Affine affine() const {
        Affine lps = identityAffine();
        std::vector<double> spacings, mins;
        if (const std::string text = field("spacings"); !text.empty()) spacings = numbersIn(text, source_, "spacings");
        if (const std::string text = field("axis mins"); !text.empty()) mins = numbersIn(text, source_, "axis mins");
        for (std::size_t i = 0; i < spatial_.size(); ++i) {
            const std::size_t axis = spatial_[i];
            if (!directions_.empty()) {
                for (std::size_t row = 0; row < 3; ++row)
                    lps[row][i] = row < directions_[axis].size() ? directions_[axis][row] : 0;
                continue;
            }
            if (axis < spacings.size() && std::isfinite(spacings[axis]) && spacings[axis] != 0)
                lps[i][i] = spacings[axis];
            if (axis < mins.size() && std::isfinite(mins[axis])) lps[i][3] = mins[axis];
        }
        if (spatial_.size() == 2) completeThirdAxis(lps);
        for (std::size_t row = 0; row < std::min<std::size_t>(3, origin_.size()); ++row) lps[row][3] = origin_[row];
        // What is not LPS is brought to LPS first.
        for (double& value : lps[0]) value *= -signs_.first;
        for (double& value : lps[1]) value *= -signs_.second;
        return lpsFlipped(lps);
    }

    /// A picture in space: 1 mm thick, at a right angle to its axes.
    static void completeThirdAxis(Affine& lps) {
        Vec3 cross{lps[1][0] * lps[2][1] - lps[2][0] * lps[1][1], lps[2][0] * lps[0][1] - lps[0][0] * lps[2][1],
                   lps[0][0] * lps[1][1] - lps[1][0] * lps[0][1]};
        const double length = std::hypot(cross[0], cross[1], cross[2]);
        for (std::size_t row = 0; row < 3; ++row) lps[row][2] = length > 0 ? cross[row] / length : 0;
    }

    std::int64_t countIn(const std::string& name) const {
        const std::string text = field(name);
        if (text.empty()) return 0;
        const auto values = numbersIn(text, source_, name);
        constexpr double kMost = 1e15;
        if (values.size() != 1 || values[0] != std::floor(values[0]) || values[0] < -1 || values[0] > kMost)
            throw DataError(source_, fmt::format("damaged NRRD header: {}", name));
        return static_cast<std::int64_t>(values[0]);
    }

    void placeVoxels() {
        VoxelPlace& place = image_.place;
        const std::string encoding = lower(required("encoding"));
        if (encoding == "gzip" || encoding == "gz") {
            place.encoding = ByteSource::Encoding::Gzip;
        } else if (encoding != "raw") {
            throw DataError(source_, fmt::format("encoding \"{}\" is not supported: save it with raw or gzip encoding",
                                                 encoding.substr(0, 40)));
        }
        if (voxelTypeSize(image_.layout.type) > 1 && lower(required("endian")) == "big")
            image_.layout.byteOrder = ByteOrder::Big;
        place.file = path_;
        place.offset = end_;
        if (const std::string data = field("data file"); !data.empty()) {
            if (data.starts_with("LIST") || data.find('%') != std::string::npos)
                throw DataError(source_, "its voxels are spread over several files: not supported");
            place.file = dataFileBeside(path_, data);
            place.offset = 0;
        }
        const std::int64_t lines = countIn("line skip"), bytes = countIn("byte skip");
        if (lines < 0 || lines > 1'000'000) throw DataError(source_, "damaged NRRD header: line skip");
        place.skipLines = static_cast<int>(lines);
        place.atEnd = bytes == -1;
        if (place.atEnd && place.encoding != ByteSource::Encoding::Plain)
            throw DataError(source_, "byte skip -1 needs raw encoding");
        place.skipBytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes));
    }

    void finishHeader() {
        ImageHeader& header = image_.header;
        header.format = "NRRD";
        header.geometry = image_.layout.geometry;
        const Index3& size = header.geometry.size();
        header.shape.assign(size.begin(), size.end());
        if (volumes_ > 1) header.shape.push_back(volumes_);
        image_.layout.shape = header.shape;
        header.storedType =
            isColour_
                ? fmt::format("rgb{}", volumes_ * static_cast<std::int64_t>(8 * voxelTypeSize(image_.layout.type)))
                : image_.layout.type;
    }

    TextHeaderImage image_;
    Fields fields_;
    std::size_t end_;
    fs::path path_;
    std::string source_;
    std::vector<std::int64_t> sizes_;
    std::pair<double, double> signs_{-1, -1};  // of x and y against RAS
    std::vector<std::vector<double>> directions_;
    std::vector<double> origin_;
    std::vector<std::size_t> spatial_;
    std::int64_t volumes_ = 1;
    bool isColour_ = false;
};

std::string vectorText(double x, double y, double z) {
    return fmt::format("({},{},{})", x, y, z);  // the shortest text that reads back as the same number
}

/// NRRD's own names, which every reader knows.
std::string_view nrrdTypeName(std::string_view type) {
    constexpr std::pair<std::string_view, std::string_view> kNames[] = {
        {"uint8", "unsigned char"}, {"int8", "signed char"}, {"uint16", "unsigned short"},     {"int16", "short"},
        {"uint32", "unsigned int"}, {"int32", "int"},        {"uint64", "unsigned long long"}, {"int64", "long long"},
        {"float32", "float"},       {"float64", "double"}};
    for (const auto& [numpy, nrrd] : kNames)
        if (numpy == type) return nrrd;
    return {};
}

}  // namespace

TextHeaderImage readNrrdText(const fs::path& path) {
    const MappedFile file(path);
    return Interpreter(parseText(file.bytes(), path.string()), path).run();
}

std::string nrrdText(const Geometry& geometry, std::string_view type, const std::string& dataFile,
                     const std::vector<std::pair<std::string, std::string>>& metadata) {
    const Affine lps = lpsFlipped(geometry.affine());
    std::string text = fmt::format(
        "NRRD0005\n# Complete NRRD file format specification at:\n# http://teem.sourceforge.net/nrrd/format.html\n"
        "type: {}\ndimension: 3\nspace: left-posterior-superior\nsizes: {} {} {}\nspace directions: {} {} {}\n"
        "kinds: domain domain domain\nendian: little\nencoding: gzip\nspace origin: {}\n",
        nrrdTypeName(type), geometry.nx(), geometry.ny(), geometry.nz(), vectorText(lps[0][0], lps[1][0], lps[2][0]),
        vectorText(lps[0][1], lps[1][1], lps[2][1]), vectorText(lps[0][2], lps[1][2], lps[2][2]),
        vectorText(lps[0][3], lps[1][3], lps[2][3]));
    if (!dataFile.empty()) text += fmt::format("data file: {}\n", dataFile);
    for (const auto& [key, value] : metadata) text += fmt::format("{}:={}\n", key, value);
    return text + (dataFile.empty() ? "\n" : "");
}

}  // namespace medseg
