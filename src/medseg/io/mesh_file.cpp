#include "medseg/io/mesh_file.h"

#include <bit>
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/mesh_reading.h"

namespace medseg {
namespace {

static_assert(std::endian::native == std::endian::little, "mesh files are written in native byte order");

// Collects small pieces before they go to the file.
class Buffer {
  public:
    explicit Buffer(AtomicFile& file) : file_(file) { bytes_.reserve(kSize + 1024); }
    ~Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    template <typename T>
    void put(const T& value) {
        const auto* bytes = reinterpret_cast<const char*>(&value);
        bytes_.append(bytes, sizeof(T));
        if (bytes_.size() >= kSize) flush();
    }
    void text(std::string_view text) {
        bytes_.append(text);
        if (bytes_.size() >= kSize) flush();
    }
    void flush() {
        file_.write(bytes_);
        bytes_.clear();
    }

  private:
    static constexpr std::size_t kSize = 1 << 20;
    AtomicFile& file_;
    std::string bytes_;
};

void requireTriangles(const std::filesystem::path& path, std::span<const LabelMesh> meshes) {
    for (const auto& entry : meshes)
        for (const auto& triangle : entry.mesh.triangles)
            for (const auto vertex : triangle)
                if (vertex >= entry.mesh.vertices.size())
                    throw DataError(path.string(), fmt::format("'{}': a triangle names vertex {} of {}",
                                                               entry.label.name, vertex, entry.mesh.vertices.size()));
}

// Names in OBJ end at white space.
std::string objName(const Label& label) {
    std::string name = label.name.empty() ? fmt::format("label_{}", label.id) : label.name;
    for (char& c : name)
        if (static_cast<unsigned char>(c) <= ' ') c = '_';
    return name;
}

void writeObj(const std::filesystem::path& path, std::span<const LabelMesh> meshes) {
    std::filesystem::path materials = path;
    materials.replace_extension(".mtl");
    std::string text;
    for (const auto& entry : meshes)
        text +=
            fmt::format("newmtl {}\nKd {:.6f} {:.6f} {:.6f}\nKs 0.1 0.1 0.1\nd 1\nillum 2\n\n", objName(entry.label),
                        entry.label.color[0] / 255.0, entry.label.color[1] / 255.0, entry.label.color[2] / 255.0);
    writeTextFile(materials, text);
    AtomicFile file(path);
    Buffer buffer(file);
    buffer.text(fmt::format("# medseg surfaces, RAS+ mm\nmtllib {}\n", materials.filename().string()));
    std::size_t first = 1;
    for (const auto& entry : meshes) {
        buffer.text(fmt::format("o {0}\nusemtl {0}\n", objName(entry.label)));
        for (const auto& v : entry.mesh.vertices)
            buffer.text(fmt::format("v {:.6g} {:.6g} {:.6g}\n", v[0], v[1], v[2]));
        for (const auto& t : entry.mesh.triangles)
            buffer.text(fmt::format("f {} {} {}\n", t[0] + first, t[1] + first, t[2] + first));
        first += entry.mesh.vertices.size();
    }
    buffer.flush();
    file.commit();
}

void writePly(const std::filesystem::path& path, std::span<const LabelMesh> meshes) {
    std::size_t vertices = 0, triangles = 0;
    for (const auto& entry : meshes) vertices += entry.mesh.vertices.size(), triangles += entry.mesh.triangles.size();
    if (vertices > 0xffffffffU) throw DataError(path.string(), "more vertices than a PLY file can number");
    AtomicFile file(path);
    Buffer buffer(file);
    buffer.text(
        fmt::format("ply\nformat binary_little_endian 1.0\ncomment medseg surfaces, RAS+ mm\nelement vertex {}\n"
                    "property float x\nproperty float y\nproperty float z\nproperty uchar red\n"
                    "property uchar green\nproperty uchar blue\nelement face {}\n"
                    "property list uchar uint vertex_indices\nend_header\n",
                    vertices, triangles));
    for (const auto& entry : meshes)
        for (const auto& v : entry.mesh.vertices) {
            buffer.put(v);
            buffer.put(entry.label.color);
        }
    std::uint32_t first = 0;
    for (const auto& entry : meshes) {
        for (const auto& t : entry.mesh.triangles) {
            buffer.put(std::uint8_t{3});
            buffer.put(std::array<std::uint32_t, 3>{t[0] + first, t[1] + first, t[2] + first});
        }
        first += static_cast<std::uint32_t>(entry.mesh.vertices.size());
    }
    buffer.flush();
    file.commit();
}

std::array<float, 3> normalOf(const Mesh& mesh, const std::array<std::uint32_t, 3>& t) {
    const auto &a = mesh.vertices[t[0]], &b = mesh.vertices[t[1]], &c = mesh.vertices[t[2]];
    const std::array<float, 3> u{b[0] - a[0], b[1] - a[1], b[2] - a[2]}, v{c[0] - a[0], c[1] - a[1], c[2] - a[2]};
    std::array<float, 3> n{u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]};
    const float length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (float& component : n) component = length > 0 ? component / length : 0;
    return n;
}

void writeStl(const std::filesystem::path& path, std::span<const LabelMesh> meshes) {
    std::size_t triangles = 0;
    for (const auto& entry : meshes) triangles += entry.mesh.triangles.size();
    if (triangles > 0xffffffffU) throw DataError(path.string(), "more triangles than an STL file can count");
    AtomicFile file(path);
    Buffer buffer(file);
    std::array<char, 80> title{};
    std::strncpy(title.data(), "medseg surfaces, RAS+ mm", title.size() - 1);
    buffer.put(title);
    buffer.put(static_cast<std::uint32_t>(triangles));
    for (const auto& entry : meshes)
        for (const auto& t : entry.mesh.triangles) {
            buffer.put(normalOf(entry.mesh, t));
            for (const auto vertex : t) buffer.put(entry.mesh.vertices[vertex]);
            buffer.put(std::uint16_t{0});
        }
    buffer.flush();
    file.commit();
}

}  // namespace

bool isMeshName(const std::filesystem::path& path) {
    const std::string name = path.string();
    return endsWithIgnoringCase(name, ".obj") || endsWithIgnoringCase(name, ".ply") ||
           endsWithIgnoringCase(name, ".stl");
}

void writeMeshes(const std::filesystem::path& path, std::span<const LabelMesh> meshes) {
    const std::string name = path.string();
    if (!isMeshName(path)) throw UsageError(fmt::format("{}: unknown mesh format: use .obj, .ply or .stl", name));
    requireTriangles(path, meshes);
    if (endsWithIgnoringCase(name, ".obj"))
        writeObj(path, meshes);
    else if (endsWithIgnoringCase(name, ".ply"))
        writePly(path, meshes);
    else
        writeStl(path, meshes);
}

Mesh readMesh(const std::filesystem::path& path) {
    const std::string name = path.string();
    const MappedFile file(path);
    const auto bytes = file.bytes();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (endsWithIgnoringCase(name, ".obj")) return readObj(name, text);
    if (endsWithIgnoringCase(name, ".ply")) return readPly(name, text);
    if (endsWithIgnoringCase(name, ".stl")) return readStl(name, text);
    throw DataError(name, "unknown mesh format: use .obj, .ply or .stl");
}

}  // namespace medseg
