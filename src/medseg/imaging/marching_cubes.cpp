#include "medseg/imaging/marching_cubes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/filter.h"
#include "medseg/imaging/marching_cubes_table.h"
#include "medseg/imaging/runs.h"

namespace medseg {
namespace {

// Voxels low..high (inclusive) that are looked at; may reach one voxel beyond the volume, where everything is outside.
struct Domain {
    Index3 low;
    Index3 high;
    std::int64_t size(int axis) const { return high[axis] - low[axis] + 1; }
};

// Which voxels are inside (fillRow() tells whether any is), and where an edge is crossed.
template <typename T>
struct LabelField {
    const Volume<T>& volume;
    T label;

    bool fillRow(const T* row, std::int64_t count, std::uint8_t* inside) const {
        std::uint8_t any = 0;
        for (std::int64_t x = 0; x < count; ++x) any |= inside[x] = row[x] == label ? 1 : 0;
        return any != 0;
    }
    double crossing(const Index3&, const Index3&) const { return 0.5; }
};

template <typename T>
struct LevelField {
    const Volume<T>& volume;
    double level;

    bool fillRow(const T* row, std::int64_t count, std::uint8_t* inside) const {
        std::uint8_t any = 0;
        for (std::int64_t x = 0; x < count; ++x) any |= inside[x] = static_cast<double>(row[x]) > level ? 1 : 0;
        return any != 0;
    }
    bool contains(const Index3& p) const {
        for (int axis = 0; axis < 3; ++axis)
            if (p[axis] < 0 || p[axis] >= volume.size()[axis]) return false;
        return true;
    }
    double crossing(const Index3& a, const Index3& b) const {
        if (!contains(a) || !contains(b)) return 0.5;
        const auto va = static_cast<double>(volume(a[0], a[1], a[2])),
                   vb = static_cast<double>(volume(b[0], b[1], b[2]));
        const double t = (level - va) / (vb - va);
        return std::isfinite(t) ? std::clamp(t, 0.0, 1.0) : 0.5;  // NaN or infinite neighbours: half-way
    }
};

// Calls body(x) where the bytes of a and b differ, x < n.
template <typename Body>
void forDifferences(const std::uint8_t* a, const std::uint8_t* b, std::int64_t n, const Body& body) {
    std::int64_t x = 0;
    for (; x + 8 <= n; x += 8) {
        std::uint64_t wa, wb;
        std::memcpy(&wa, a + x, 8);
        std::memcpy(&wb, b + x, 8);
        if (wa == wb) continue;
        for (std::int64_t i = x; i < x + 8; ++i)
            if (a[i] != b[i]) body(i);
    }
    for (; x < n; ++x)
        if (a[x] != b[x]) body(x);
}

// Extracts the cells between the planes first and last of a domain. Vertices are numbered plane by plane: those in
// plane z (x edges and y edges of a row, row by row), then those between z and z + 1. The vertices of the last plane
// belong to the next slab, whose numbers continue where this slab's end.
template <typename Field>
class SlabExtractor {
  public:
    SlabExtractor(const Field& field, const Domain& domain) : field_(field), domain_(domain) {
        const std::int64_t plane = width() * height();
        for (auto& layer : inside_) layer.resize(plane);
        for (auto& layer : anyInside_) layer.resize(height());
        for (auto& layer : edgeX_) layer.resize(plane);
        for (auto& layer : edgeY_) layer.resize(plane);
        edgeZ_.resize(plane);
        quads_.resize(width() + 8);
    }

    /// Planes are counted from the domain's low plane; `ownsLast`: no slab follows.
    Mesh extract(std::int64_t first, std::int64_t last, bool ownsLast) {
        mesh_ = {};
        next_ = 0;
        fillPlane(first, 0);
        numberPlane(first, 0, true);
        for (std::int64_t z = first; z < last; ++z) {
            const int lower = static_cast<int>((z - first) & 1), upper = 1 - lower;
            fillPlane(z + 1, upper);
            numberBetween(z, lower, upper);
            numberPlane(z + 1, upper, z + 1 < last || ownsLast);
            emitCells(lower, upper);
        }
        return std::move(mesh_);
    }

  private:
    std::int64_t width() const { return domain_.size(0); }
    std::int64_t height() const { return domain_.size(1); }

    // Whether row y or the next one has a voxel inside.
    bool isUsed(int layer, std::int64_t y) const {
        return anyInside_[layer][y] != 0 || (y + 1 < height() && anyInside_[layer][y + 1] != 0);
    }

    void fillPlane(std::int64_t plane, int layer) {
        const auto& volume = field_.volume;
        const std::int64_t z = domain_.low[2] + plane;
        auto& inside = inside_[layer];
        if (z < 0 || z >= volume.nz()) {
            std::fill(inside.begin(), inside.end(), 0);
            std::fill(anyInside_[layer].begin(), anyInside_[layer].end(), 0);
            return;
        }
        const std::int64_t x0 = std::max<std::int64_t>(0, domain_.low[0]);
        const std::int64_t x1 = std::min(volume.nx() - 1, domain_.high[0]);
        for (std::int64_t row = 0; row < height(); ++row) {
            std::uint8_t* target = inside.data() + row * width();
            const std::int64_t y = domain_.low[1] + row;
            if (y < 0 || y >= volume.ny()) {
                std::fill_n(target, width(), 0);
                anyInside_[layer][row] = 0;
                continue;
            }
            if (domain_.low[0] < 0) target[0] = 0;
            target[width() - 1] = 0;
            anyInside_[layer][row] =
                field_.fillRow(&volume(x0, y, z), x1 - x0 + 1, target + (x0 - domain_.low[0])) ? 1 : 0;
        }
    }

    void addVertex(const Index3& cell, int axis) {
        Index3 a, b;
        for (int i = 0; i < 3; ++i) a[i] = b[i] = domain_.low[i] + cell[i];
        ++b[axis];
        Vec3 p{static_cast<double>(a[0]), static_cast<double>(a[1]), static_cast<double>(a[2])};
        p[axis] += field_.crossing(a, b);
        const Vec3 world = field_.volume.geometry().voxelToWorld(p);
        mesh_.vertices.push_back(
            {static_cast<float>(world[0]), static_cast<float>(world[1]), static_cast<float>(world[2])});
    }

    void numberPlane(std::int64_t z, int layer, bool owned) {
        const std::int64_t w = width();
        for (std::int64_t y = 0; y < height(); ++y) {
            const std::uint8_t* row = inside_[layer].data() + y * w;
            if (!isUsed(layer, y)) continue;
            forDifferences(row, row + 1, w - 1, [&](std::int64_t x) {
                edgeX_[layer][y * w + x] = next_++;
                if (owned) addVertex({x, y, z}, 0);
            });
            if (y + 1 == height()) continue;
            forDifferences(row, row + w, w, [&](std::int64_t x) {
                edgeY_[layer][y * w + x] = next_++;
                if (owned) addVertex({x, y, z}, 1);
            });
        }
    }

    void numberBetween(std::int64_t z, int lower, int upper) {
        const std::int64_t w = width();
        for (std::int64_t y = 0; y < height(); ++y) {
            if (anyInside_[lower][y] == 0 && anyInside_[upper][y] == 0) continue;
            forDifferences(inside_[lower].data() + y * w, inside_[upper].data() + y * w, w, [&](std::int64_t x) {
                edgeZ_[y * w + x] = next_++;
                addVertex({x, y, z}, 2);
            });
        }
    }

    void emitCells(int lower, int upper) {
        const std::int64_t w = width();
        for (std::int64_t y = 0; y + 1 < height(); ++y) {
            if (!isUsed(lower, y) && !isUsed(upper, y)) continue;
            const std::uint8_t* a = inside_[lower].data() + y * w;
            const std::uint8_t* b = inside_[upper].data() + y * w;
            for (std::int64_t x = 0; x < w; ++x)
                quads_[x] = static_cast<std::uint8_t>(a[x] | a[x + w] << 1 | b[x] << 2 | b[x + w] << 3);
            std::int64_t x = 0;
            while (x < w - 1) {
                if (x + 8 < w) {
                    std::uint64_t left, right;
                    std::memcpy(&left, quads_.data() + x, 8);
                    std::memcpy(&right, quads_.data() + x + 1, 8);
                    if (left == right && (left == 0 || left == 0x0f0f0f0f0f0f0f0fULL)) {
                        x += 8;
                        continue;
                    }
                }
                const std::int64_t end = std::min(x + 8, w - 1);
                for (; x < end; ++x) {
                    const int cubeCase = quads_[x] | quads_[x + 1] << 4;
                    if (cubeCase != 0 && cubeCase != 255) emitCell(cases_[cubeCase], x, y, lower, upper);
                }
            }
        }
    }

    void emitCell(const CubeCase& cube, std::int64_t x, std::int64_t y, int lower, int upper) {
        const std::int64_t at = y * width() + x, w = width();
        const auto vertex = [&](int edge) {
            const std::int64_t first = edge & 1, second = edge >> 1 & 1;
            switch (edge / 4) {
                case 0:
                    return edgeX_[second ? upper : lower][at + first * w];
                case 1:
                    return edgeY_[second ? upper : lower][at + first];
                default:
                    return edgeZ_[at + first + second * w];
            }
        };
        for (int t = 0; t < cube.triangles; ++t)
            mesh_.triangles.push_back(
                {vertex(cube.edges[3 * t]), vertex(cube.edges[3 * t + 1]), vertex(cube.edges[3 * t + 2])});
    }

    const Field& field_;
    Domain domain_;
    const std::array<CubeCase, 256>& cases_ = cubeCases();
    std::array<std::vector<std::uint8_t>, 2> inside_, anyInside_;
    std::array<std::vector<std::uint32_t>, 2> edgeX_, edgeY_;
    std::vector<std::uint32_t> edgeZ_;
    std::vector<std::uint8_t> quads_;
    Mesh mesh_;
    std::uint32_t next_ = 0;
};

bool mirrors(const Affine& a) {
    return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
               a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]) <
           0;
}

Mesh joinSlabs(std::vector<Mesh>& slabs, bool flip) {
    std::vector<std::size_t> firstVertex(slabs.size() + 1, 0), firstTriangle(slabs.size() + 1, 0);
    for (std::size_t s = 0; s < slabs.size(); ++s) {
        firstVertex[s + 1] = firstVertex[s] + slabs[s].vertices.size();
        firstTriangle[s + 1] = firstTriangle[s] + slabs[s].triangles.size();
    }
    if (firstVertex.back() > std::numeric_limits<std::uint32_t>::max())
        throw DataError(fmt::format("surface of {} vertices: too many for one mesh", firstVertex.back()));
    Mesh mesh;
    mesh.vertices.resize(firstVertex.back());
    mesh.triangles.resize(firstTriangle.back());
    parallelForEach(0, static_cast<std::int64_t>(slabs.size()), [&](std::int64_t s) {
        std::copy(slabs[s].vertices.begin(), slabs[s].vertices.end(),
                  mesh.vertices.begin() + static_cast<std::ptrdiff_t>(firstVertex[s]));
        const auto offset = static_cast<std::uint32_t>(firstVertex[s]);
        std::size_t at = firstTriangle[s];
        for (auto t : slabs[s].triangles) {
            if (flip) std::swap(t[1], t[2]);
            mesh.triangles[at++] = {t[0] + offset, t[1] + offset, t[2] + offset};
        }
        slabs[s] = {};
    });
    return mesh;
}

template <typename Field>
Mesh extract(const Field& field, const Domain& domain) {
    for (int axis = 0; axis < 3; ++axis)
        if (domain.size(axis) < 2) return {};
    constexpr std::int64_t kPlanes = 12;  // fixed, so that the result does not depend on threads
    const std::int64_t cells = domain.size(2) - 1;
    const std::int64_t count = (cells + kPlanes - 1) / kPlanes;
    std::vector<Mesh> slabs(count);
    parallelFor(0, count, 1, [&](std::int64_t first, std::int64_t last) {
        SlabExtractor<Field> extractor(field, domain);
        for (std::int64_t s = first; s < last; ++s)
            slabs[s] = extractor.extract(s * kPlanes, std::min(cells, (s + 1) * kPlanes), s + 1 == count);
    });
    return joinSlabs(slabs, mirrors(field.volume.geometry().affine()));
}

// The domain around a box of voxels: one voxel more on each side, within the volume if the border stays open.
Domain around(const Index3& low, const Index3& high, const Index3& size, bool closeBorder) {
    Domain domain;
    for (int axis = 0; axis < 3; ++axis) {
        domain.low[axis] = closeBorder ? low[axis] - 1 : std::max<std::int64_t>(0, low[axis] - 1);
        domain.high[axis] = closeBorder ? high[axis] + 1 : std::min(size[axis] - 1, high[axis] + 1);
    }
    return domain;
}

struct Box {
    Index3 low{std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::max(),
               std::numeric_limits<std::int64_t>::max()};
    Index3 high{-1, -1, -1};
    bool empty() const { return high[0] < 0; }
    void add(std::int64_t x0, std::int64_t x1, std::int64_t y, std::int64_t z) {
        low = {std::min(low[0], x0), std::min(low[1], y), std::min(low[2], z)};
        high = {std::max(high[0], x1), std::max(high[1], y), std::max(high[2], z)};
    }
};

// Bounding boxes of all labels, in one pass.
template <typename T>
std::vector<Box> labelBoxes(const Volume<T>& labels) {
    std::vector<std::vector<Box>> slices(labels.nz());
    parallelForEach(0, labels.nz(), [&](std::int64_t z) {
        auto& boxes = slices[z];
        for (std::int64_t y = 0; y < labels.ny(); ++y) {
            const T* row = &labels(0, y, z);
            for (std::int64_t x = 0; x < labels.nx();) {
                const std::int64_t end = runs::equalEnd(row, x, labels.nx());
                if (row[x] != 0) {
                    if (boxes.size() <= row[x]) boxes.resize(row[x] + 1);
                    boxes[row[x]].add(x, end - 1, y, z);
                }
                x = end;
            }
        }
    });
    std::vector<Box> result;
    for (const auto& boxes : slices) {
        if (boxes.size() > result.size()) result.resize(boxes.size());
        for (std::size_t id = 0; id < boxes.size(); ++id)
            if (!boxes[id].empty()) {
                result[id].add(boxes[id].low[0], boxes[id].high[0], boxes[id].low[1], boxes[id].low[2]);
                result[id].add(boxes[id].low[0], boxes[id].high[0], boxes[id].high[1], boxes[id].high[2]);
            }
    }
    return result;
}

// Surface at 0.5 of the label's mask after a Gaussian, computed in the label's box plus the reach of the Gaussian.
template <typename T>
Mesh smoothedSurface(const Volume<T>& labels, T label, const Box& box, const LabelSurfaceOptions& options) {
    const Vec3 spacing = labels.geometry().spacing();
    Index3 low, size;
    for (int axis = 0; axis < 3; ++axis) {
        const auto reach = static_cast<std::int64_t>(std::ceil(4 * options.smoothingMm / spacing[axis])) + 1;
        // Beyond the border is outside: the crop may reach over it, so that the mask fades out there too.
        low[axis] = options.closeBorder ? box.low[axis] - reach : std::max<std::int64_t>(0, box.low[axis] - reach);
        const std::int64_t high =
            options.closeBorder ? box.high[axis] + reach : std::min(labels.size()[axis] - 1, box.high[axis] + reach);
        size[axis] = high - low[axis] + 1;
    }
    Affine affine = labels.geometry().affine();
    const Vec3 origin = labels.geometry().voxelToWorld(
        {static_cast<double>(low[0]), static_cast<double>(low[1]), static_cast<double>(low[2])});
    for (int row = 0; row < 3; ++row) affine[row][3] = origin[row];
    Volume<float> mask(Geometry(size, affine), 0.0F);
    for (std::int64_t z = box.low[2]; z <= box.high[2]; ++z)
        for (std::int64_t y = box.low[1]; y <= box.high[1]; ++y)
            for (std::int64_t x = box.low[0]; x <= box.high[0]; ++x)
                if (labels(x, y, z) == label) mask(x - low[0], y - low[1], z - low[2]) = 1;
    return extractSurface(gaussianFilterMm(mask, options.smoothingMm, {Boundary::Nearest, 4.0, 0.0}), 0.5,
                          {options.closeBorder});
}

}  // namespace

template <typename T>
Mesh extractSurface(const Volume<T>& field, double level, const SurfaceOptions& options) {
    if (field.empty()) throw DataError("surface of a volume without voxels");
    const Index3& size = field.size();
    return extract(LevelField<T>{field, level},
                   around({0, 0, 0}, {size[0] - 1, size[1] - 1, size[2] - 1}, size, options.closeBorder));
}

template <typename T>
Mesh extractLabelSurface(const Volume<T>& labels, T label, const SurfaceOptions& options) {
    if (labels.empty()) throw DataError("surface of a volume without voxels");
    const auto boxes = labelBoxes(labels);
    if (label == 0 || boxes.size() <= label || boxes[label].empty()) return {};
    return extract(LabelField<T>{labels, label},
                   around(boxes[label].low, boxes[label].high, labels.size(), options.closeBorder));
}

std::vector<LabelMesh> extractLabelSurfaces(const LabelMap& labels, const LabelSurfaceOptions& options,
                                            const std::vector<int>& ids) {
    if (!(options.smoothingMm >= 0) || !std::isfinite(options.smoothingMm))
        throw UsageError(fmt::format("surface smoothing of {} mm: use 0 or more", options.smoothingMm));
    return labels.visit([&](const auto& voxels) {
        using T = std::remove_cvref_t<decltype(voxels.data()[0])>;
        if (voxels.empty()) throw DataError("surface of a volume without voxels");
        const auto boxes = labelBoxes(voxels);
        std::vector<LabelMesh> meshes;
        for (std::size_t id = 1; id < boxes.size(); ++id) {
            if (boxes[id].empty()) continue;
            if (!ids.empty() && std::find(ids.begin(), ids.end(), static_cast<int>(id)) == ids.end()) continue;
            const int number = static_cast<int>(id);
            LabelMesh entry{{number, labels.table().nameOf(number), labels.table().colorOf(number)}, {}};
            if (options.smoothingMm > 0)
                entry.mesh = smoothedSurface(voxels, static_cast<T>(id), boxes[id], options);
            else
                entry.mesh = extract(LabelField<T>{voxels, static_cast<T>(id)},
                                     around(boxes[id].low, boxes[id].high, voxels.size(), options.closeBorder));
            meshes.push_back(std::move(entry));
        }
        return meshes;
    });
}

template Mesh extractSurface(const Volume<std::uint8_t>&, double, const SurfaceOptions&);
template Mesh extractSurface(const Volume<std::int16_t>&, double, const SurfaceOptions&);
template Mesh extractSurface(const Volume<std::uint16_t>&, double, const SurfaceOptions&);
template Mesh extractSurface(const Volume<float>&, double, const SurfaceOptions&);
template Mesh extractSurface(const Volume<double>&, double, const SurfaceOptions&);
template Mesh extractLabelSurface(const Volume<std::uint8_t>&, std::uint8_t, const SurfaceOptions&);
template Mesh extractLabelSurface(const Volume<std::uint16_t>&, std::uint16_t, const SurfaceOptions&);

}  // namespace medseg
