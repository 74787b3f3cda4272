#include "medseg/io/mesh_reading.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

// Lines and words of a text, without copies.
class Words {
  public:
    explicit Words(std::string_view text) : text_(text) {}

    bool nextLine(std::string_view& line) {
        if (at_ >= text_.size()) return false;
        const std::size_t end = std::min(text_.find('\n', at_), text_.size());
        line = text_.substr(at_, end - at_);
        at_ = std::min(end + 1, text_.size());
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        return true;
    }
    std::size_t position() const { return at_; }

  private:
    std::string_view text_;
    std::size_t at_ = 0;
};

std::string_view nextWord(std::string_view& line) {
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return line = {};
    const std::size_t end = std::min(line.find_first_of(" \t", begin), line.size());
    const std::string_view word = line.substr(begin, end - begin);
    line.remove_prefix(end);
    return word;
}

template <typename T>
T number(const std::string& name, std::string_view word) {
    T value{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size())
        throw DataError(name, fmt::format("'{}' is not a number", word.substr(0, 40)));
    return value;
}

std::array<float, 3> position(const std::string& name, std::string_view& line) {
    std::array<float, 3> result;
    for (float& v : result) v = number<float>(name, nextWord(line));
    return result;
}

// Splits a polygon into a fan; indices count from 0.
void addFace(const std::string& name, Mesh& mesh, const std::vector<std::int64_t>& face) {
    for (const auto vertex : face)
        if (vertex < 0 || vertex >= static_cast<std::int64_t>(mesh.vertices.size()))
            throw DataError(name, fmt::format("a face names vertex {} of {}", vertex, mesh.vertices.size()));
    for (std::size_t i = 2; i < face.size(); ++i)
        mesh.triangles.push_back({static_cast<std::uint32_t>(face[0]), static_cast<std::uint32_t>(face[i - 1]),
                                  static_cast<std::uint32_t>(face[i])});
}

struct PlyProperty {
    std::string name;
    std::string type;
    std::string countType;  ///< of lists, else empty
};
struct PlyElement {
    std::string name;
    std::int64_t count = 0;
    std::vector<PlyProperty> properties;
};

std::size_t plySize(const std::string& name, const std::string& type) {
    static const std::map<std::string, std::size_t> sizes = {
        {"char", 1},  {"uchar", 1},   {"int8", 1},   {"uint8", 1},  {"short", 2}, {"ushort", 2},
        {"int16", 2}, {"uint16", 2},  {"int", 4},    {"uint", 4},   {"int32", 4}, {"uint32", 4},
        {"float", 4}, {"float32", 4}, {"double", 8}, {"float64", 8}};
    const auto found = sizes.find(type);
    if (found == sizes.end()) throw DataError(name, fmt::format("unknown PLY type '{}'", type));
    return found->second;
}

// Values of a PLY body, one after the other.
class PlyBody {
  public:
    PlyBody(const std::string& name, std::string_view bytes, bool ascii) : name_(name), bytes_(bytes), ascii_(ascii) {}

    double next(const std::string& type) {
        if (ascii_) return nextText();
        const std::size_t size = plySize(name_, type);
        if (bytes_.size() < size) throw DataError(name_, "the file ends inside its elements");
        const char* at = bytes_.data();
        double value = 0;
        if (type == "float" || type == "float32")
            value = read<float>(at);
        else if (type == "double" || type == "float64")
            value = read<double>(at);
        else if (type == "char" || type == "int8")
            value = read<std::int8_t>(at);
        else if (type == "uchar" || type == "uint8")
            value = read<std::uint8_t>(at);
        else if (type == "short" || type == "int16")
            value = read<std::int16_t>(at);
        else if (type == "ushort" || type == "uint16")
            value = read<std::uint16_t>(at);
        else if (type == "int" || type == "int32")
            value = read<std::int32_t>(at);
        else
            value = read<std::uint32_t>(at);
        bytes_.remove_prefix(size);
        return value;
    }
    std::size_t left() const { return bytes_.size(); }

  private:
    template <typename T>
    static T read(const char* at) {
        T value;
        std::memcpy(&value, at, sizeof(T));
        return value;
    }
    double nextText() {
        const std::size_t begin = bytes_.find_first_not_of(" \t\r\n");
        if (begin == std::string_view::npos) throw DataError(name_, "the file ends inside its elements");
        const std::size_t end = std::min(bytes_.find_first_of(" \t\r\n", begin), bytes_.size());
        const auto value = number<double>(name_, bytes_.substr(begin, end - begin));
        bytes_.remove_prefix(end);
        return value;
    }

    const std::string& name_;
    std::string_view bytes_;
    bool ascii_;
};

void readElement(const std::string& name, const PlyElement& element, PlyBody& body, Mesh& mesh) {
    // Every element takes at least a byte of the file.
    if (element.count < 0 || static_cast<std::uint64_t>(element.count) > body.left())
        throw DataError(name, fmt::format("{} elements '{}' do not fit into the file", element.count, element.name));
    std::vector<std::int64_t> face;
    for (std::int64_t i = 0; i < element.count; ++i) {
        std::array<float, 3> vertex{};
        for (const auto& property : element.properties) {
            if (property.countType.empty()) {
                const double value = body.next(property.type);
                if (property.name.size() == 1 && property.name[0] >= 'x' && property.name[0] <= 'z')
                    vertex[static_cast<std::size_t>(property.name[0] - 'x')] = static_cast<float>(value);
                continue;
            }
            const double count = body.next(property.countType);
            if (!(count >= 0 && count <= static_cast<double>(body.left())))
                throw DataError(name, "a list is longer than the file");
            face.clear();
            for (std::int64_t k = 0; k < static_cast<std::int64_t>(count); ++k)
                face.push_back(static_cast<std::int64_t>(body.next(property.type)));
            if (element.name == "face" && property.name.starts_with("vertex_ind")) addFace(name, mesh, face);
        }
        if (element.name == "vertex") mesh.vertices.push_back(vertex);
    }
}

// Gives equal positions one vertex.
class VertexMerger {
  public:
    explicit VertexMerger(Mesh& mesh) : mesh_(mesh) {}
    std::uint32_t add(const std::array<float, 3>& position) {
        const auto [entry, isNew] = number_.try_emplace(position, static_cast<std::uint32_t>(mesh_.vertices.size()));
        if (isNew) mesh_.vertices.push_back(position);
        return entry->second;
    }

  private:
    Mesh& mesh_;
    std::map<std::array<float, 3>, std::uint32_t> number_;
};

Mesh readStlText(const std::string& name, std::string_view text) {
    Mesh mesh;
    VertexMerger merger(mesh);
    Words words(text);
    std::string_view line;
    std::vector<std::uint32_t> corners;
    while (words.nextLine(line)) {
        if (nextWord(line) != "vertex") continue;
        const auto vertex = position(name, line);
        for (const float v : vertex)
            if (std::isnan(v)) throw DataError(name, "a vertex is not a number");
        corners.push_back(merger.add(vertex));
        if (corners.size() == 3) {
            mesh.triangles.push_back({corners[0], corners[1], corners[2]});
            corners.clear();
        }
    }
    if (!corners.empty()) throw DataError(name, "the file ends inside a triangle");
    return mesh;
}

}  // namespace

Mesh readObj(const std::string& name, std::string_view text) {
    Mesh mesh;
    Words words(text);
    std::string_view line;
    std::vector<std::int64_t> face;
    while (words.nextLine(line)) {
        const std::string_view keyword = nextWord(line);
        if (keyword == "v") {
            mesh.vertices.push_back(position(name, line));
        } else if (keyword == "f") {
            face.clear();
            for (std::string_view word = nextWord(line); !word.empty(); word = nextWord(line)) {
                const auto index = number<std::int64_t>(name, word.substr(0, word.find('/')));
                face.push_back(index < 0 ? static_cast<std::int64_t>(mesh.vertices.size()) + index : index - 1);
            }
            addFace(name, mesh, face);
        }
    }
    return mesh;
}

Mesh readPly(const std::string& name, std::string_view bytes) {
    Words words(bytes);
    std::string_view line;
    if (!words.nextLine(line) || line != "ply") throw DataError(name, "not a PLY file");
    std::vector<PlyElement> elements;
    std::optional<bool> ascii;
    bool ended = false;
    while (!ended && words.nextLine(line)) {
        const std::string_view keyword = nextWord(line);
        if (keyword == "format") {
            const std::string_view format = nextWord(line);
            if (format != "ascii" && format != "binary_little_endian")
                throw DataError(name, fmt::format("PLY format '{}' is not supported", format));
            ascii = format == "ascii";
        } else if (keyword == "element") {
            const std::string element(nextWord(line));
            elements.push_back({element, number<std::int64_t>(name, nextWord(line)), {}});
        } else if (keyword == "property") {
            if (elements.empty()) throw DataError(name, "a PLY property stands before any element");
            PlyProperty property;
            property.type = nextWord(line);
            if (property.type == "list") {
                property.countType = nextWord(line);
                property.type = nextWord(line);
            }
            property.name = nextWord(line);
            plySize(name, property.type);
            elements.back().properties.push_back(property);
        } else if (keyword == "end_header") {
            ended = true;
        }
    }
    if (!ended || !ascii) throw DataError(name, "the PLY header is incomplete");
    Mesh mesh;
    PlyBody body(name, bytes.substr(words.position()), *ascii);
    for (const auto& element : elements) readElement(name, element, body, mesh);
    return mesh;
}

Mesh readStl(const std::string& name, std::string_view bytes) {
    constexpr std::size_t kHeader = 84, kTriangle = 50;
    std::uint32_t count = 0;
    if (bytes.size() >= kHeader) std::memcpy(&count, bytes.data() + 80, 4);
    // ASCII files begin with "solid", but so do some binary ones: the size decides.
    const bool sizeFits = bytes.size() >= kHeader && bytes.size() == kHeader + kTriangle * std::size_t{count};
    if (!sizeFits) {
        if (bytes.starts_with("solid")) return readStlText(name, bytes);
        throw DataError(name, "not an STL file, or cut off");
    }
    Mesh mesh;
    VertexMerger merger(mesh);
    for (std::uint32_t i = 0; i < count; ++i) {
        std::array<std::array<float, 3>, 3> corners;
        std::memcpy(corners.data(), bytes.data() + kHeader + kTriangle * i + 12, sizeof corners);
        for (const auto& corner : corners)
            for (const float v : corner)
                if (std::isnan(v)) throw DataError(name, "a vertex is not a number");
        mesh.triangles.push_back({merger.add(corners[0]), merger.add(corners[1]), merger.add(corners[2])});
    }
    return mesh;
}

}  // namespace medseg
