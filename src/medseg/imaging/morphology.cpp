#include "medseg/imaging/morphology.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/row_grids.h"

namespace medseg {
namespace {

// out(p) = any (dilation) or all (erosion) of in(p + offset); `outside` stands beyond the border. Row by row: each
// offset combines a shifted row of the input with the output row.
void combineShifted(const Volume<std::uint8_t>& in, const std::vector<Index3>& offsets, bool any, bool outside,
                    Volume<std::uint8_t>& out) {
    const auto [nx, ny, nz] = in.size();
    const std::uint8_t beyond = outside ? 1 : 0;
    parallelFor(0, ny * nz, 32, [&, nx = nx, ny = ny, nz = nz](std::int64_t first, std::int64_t last) {
        for (std::int64_t r = first; r < last; ++r) {
            const std::int64_t y = r % ny, z = r / ny;
            std::uint8_t* target = out.data() + r * nx;
            std::fill_n(target, nx, any ? 0 : 1);
            for (const auto& [dx, dy, dz] : offsets) {
                const std::int64_t sy = y + dy, sz = z + dz;
                const bool rowInside = sy >= 0 && sy < ny && sz >= 0 && sz < nz;
                // Voxels [x0, x1) of the target read inside the source row.
                const std::int64_t x0 = rowInside ? std::clamp<std::int64_t>(-dx, 0, nx) : nx;
                const std::int64_t x1 = rowInside ? std::max(x0, std::clamp<std::int64_t>(nx - dx, 0, nx)) : nx;
                if (any) {
                    if (beyond) {
                        std::fill(target, target + x0, 1);
                        std::fill(target + x1, target + nx, 1);
                    }
                    if (!rowInside) continue;
                    const std::uint8_t* source = in.data() + nx * (sy + ny * sz) + dx;
                    for (std::int64_t x = x0; x < x1; ++x) target[x] |= source[x];
                } else {
                    if (!beyond) {
                        std::fill(target, target + x0, 0);
                        std::fill(target + x1, target + nx, 0);
                    }
                    if (!rowInside) continue;
                    const std::uint8_t* source = in.data() + nx * (sy + ny * sz) + dx;
                    for (std::int64_t x = x0; x < x1; ++x) target[x] &= source[x];
                }
            }
        }
    });
}

Volume<std::uint8_t> binary(const Volume<std::uint8_t>& mask) {
    if (mask.empty()) throw DataError("morphology of a volume without voxels");
    Volume<std::uint8_t> out(mask.geometry());
    parallelFor(0, mask.voxelCount(), 1 << 18, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) out.data()[i] = mask.data()[i] != 0 ? 1 : 0;
    });
    return out;
}

Volume<std::uint8_t> repeat(Volume<std::uint8_t> current, const StructuringElement& element, bool any,
                            const MorphologyOptions& options) {
    if (options.iterations < 1)
        throw UsageError(fmt::format("morphology: {} iterations: use at least 1", options.iterations));
    std::vector<Index3> offsets = element.offsets;
    // Dilation reads where the mirrored element points.
    if (any)
        for (auto& offset : offsets) offset = {-offset[0], -offset[1], -offset[2]};
    Volume<std::uint8_t> next(current.geometry());
    for (int i = 0; i < options.iterations; ++i) {
        combineShifted(current, offsets, any, options.borderValue, next);
        std::swap(current, next);
    }
    return current;
}

template <typename Predicate>
StructuringElement elementWhere(const Index3& reach, const Predicate& contains) {
    StructuringElement element;
    for (std::int64_t z = -reach[2]; z <= reach[2]; ++z)
        for (std::int64_t y = -reach[1]; y <= reach[1]; ++y)
            for (std::int64_t x = -reach[0]; x <= reach[0]; ++x)
                if (contains(x, y, z)) element.offsets.push_back({x, y, z});
    return element;
}

// Joins every background run that touches the border of the grid with node 0 and fills the others.
void fillGridHoles(const RowGrid<std::uint8_t>& grid, const RunContacts& contacts, bool firstPlaneIsBorder) {
    RunComponents<RunKind::Zero, std::uint8_t> components(grid, contacts, 1);
    for (std::int64_t slab = 0; slab < components.slabCount(); ++slab)
        components.forSlab(slab, [&](std::int64_t x0, std::int64_t x1, std::int64_t y, std::int64_t plane, std::uint8_t,
                                     std::int32_t run) {
            const bool planeEdge = firstPlaneIsBorder && (plane == 0 || plane == grid.planes - 1);
            const bool rowEdge = grid.rows > 1 && (y == 0 || y == grid.rows - 1);
            if (x0 == 0 || x1 == grid.length || planeEdge || rowEdge) components.unite(0, run);
        });
    components.flatten();
    parallelForEach(0, components.slabCount(), [&](std::int64_t slab) {
        components.forSlab(slab, [&](std::int64_t x0, std::int64_t x1, std::int64_t y, std::int64_t plane, std::uint8_t,
                                     std::int32_t run) {
            if (components.root(run) != 0) std::fill(grid.row(y, plane) + x0, grid.row(y, plane) + x1, 1);
        });
    });
}

}  // namespace

StructuringElement StructuringElement::neighbours(int connectivity, int dimensions) {
    if ((dimensions != 2 && dimensions != 3) || connectivity < 1 || connectivity > dimensions)
        throw UsageError(fmt::format("structuring element of connectivity {} in {} dimensions: use 1..{}", connectivity,
                                     dimensions, dimensions));
    return elementWhere({1, 1, dimensions == 3 ? 1 : 0}, [connectivity](auto x, auto y, auto z) {
        return (x != 0) + (y != 0) + (z != 0) <= connectivity;
    });
}

StructuringElement StructuringElement::ball(double radius, int dimensions) {
    if (!(radius >= 0) || radius > 1000)
        throw UsageError(fmt::format("structuring element of radius {}: use 0..1000", radius));
    const auto reach = static_cast<std::int64_t>(std::floor(radius));
    return elementWhere({reach, reach, dimensions == 3 ? reach : 0}, [radius](auto x, auto y, auto z) {
        return static_cast<double>(x * x + y * y + z * z) <= radius * radius;
    });
}

StructuringElement StructuringElement::ballMm(double radiusMm, const Vec3& spacing) {
    Index3 reach;
    for (int axis = 0; axis < 3; ++axis) {
        const double steps = radiusMm / spacing[axis];
        if (!(steps >= 0) || steps > 1000)
            throw UsageError(
                fmt::format("structuring element of {} mm reaches {} voxels: use at most 1000", radiusMm, steps));
        reach[axis] = static_cast<std::int64_t>(std::floor(steps + 1e-9));
    }
    return elementWhere(reach, [&](auto x, auto y, auto z) {
        const double dx = static_cast<double>(x) * spacing[0], dy = static_cast<double>(y) * spacing[1],
                     dz = static_cast<double>(z) * spacing[2];
        return dx * dx + dy * dy + dz * dz <= radiusMm * radiusMm * (1 + 1e-9);
    });
}

Volume<std::uint8_t> erode(const Volume<std::uint8_t>& mask, const StructuringElement& element,
                           const MorphologyOptions& options) {
    return repeat(binary(mask), element, false, options);
}

Volume<std::uint8_t> dilate(const Volume<std::uint8_t>& mask, const StructuringElement& element,
                            const MorphologyOptions& options) {
    return repeat(binary(mask), element, true, options);
}

Volume<std::uint8_t> openMask(const Volume<std::uint8_t>& mask, const StructuringElement& element,
                              const MorphologyOptions& options) {
    return repeat(erode(mask, element, options), element, true, options);
}

Volume<std::uint8_t> closeMask(const Volume<std::uint8_t>& mask, const StructuringElement& element,
                               const MorphologyOptions& options) {
    return repeat(dilate(mask, element, options), element, false, options);
}

Volume<std::uint8_t> fillHoles(const Volume<std::uint8_t>& mask, HoleKind kind, bool fullNeighbours) {
    using enum RowContact;
    Volume<std::uint8_t> out = binary(mask);
    const RowContact contact = fullNeighbours ? Diagonal : Overlap;
    if (kind == HoleKind::Volume && out.nz() > 1) {
        fillGridHoles(rowGridOf(out), {contact, contact, fullNeighbours ? Diagonal : None}, true);
        return out;
    }
    parallelForEach(0, out.nz(), [&](std::int64_t z) {
        fillGridHoles(rowGridOf(out.slice(z)), {None, contact, None}, true);
    });
    return out;
}

}  // namespace medseg
