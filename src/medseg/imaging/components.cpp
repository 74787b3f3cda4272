#include "medseg/imaging/components.h"

#include <atomic>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/row_grids.h"

namespace medseg {
namespace {

RunContacts contactsOf(Connectivity connectivity) {
    using enum RowContact;
    switch (connectivity) {
        case Connectivity::Six:
            return {Overlap, Overlap, None};
        case Connectivity::Eighteen:
            return {Diagonal, Diagonal, Overlap};
        case Connectivity::TwentySix:
            return {Diagonal, Diagonal, Diagonal};
        case Connectivity::Four:
            return {Overlap, None, None};
        default:
            return {Diagonal, None, None};
    }
}

// A single slice has its rows as planes: rows touch across planes instead of within them.
RunContacts sliceContacts(Connectivity connectivity) {
    const RowContact contact = contactsOf(connectivity).samePlane;
    return {RowContact::None, contact, RowContact::None};
}

template <RunKind Kind, typename T>
RunComponents<Kind, const T> connect(const Volume<T>& volume, Connectivity connectivity) {
    if (volume.empty()) throw DataError("connected components of a volume without voxels");
    if (volume.nz() == 1) return {rowGridOf(volume.slice(0)), sliceContacts(connectivity)};
    return {rowGridOf(volume), contactsOf(connectivity)};
}

// (y, z) of a run: in a single slice the planes are the rows.
template <typename T>
Index3 rowOf(const Volume<T>& volume, std::int64_t y, std::int64_t plane) {
    return volume.nz() == 1 ? Index3{0, plane, 0} : Index3{0, y, plane};
}

void atomicMin(std::int64_t& target, std::int64_t value) {
    std::atomic_ref reference(target);
    std::int64_t current = reference.load(std::memory_order_relaxed);
    while (value < current && !reference.compare_exchange_weak(current, value, std::memory_order_relaxed)) {
    }
}

void atomicMax(std::int64_t& target, std::int64_t value) {
    std::atomic_ref reference(target);
    std::int64_t current = reference.load(std::memory_order_relaxed);
    while (value > current && !reference.compare_exchange_weak(current, value, std::memory_order_relaxed)) {
    }
}

void atomicAdd(std::int64_t& target, std::int64_t value) {
    std::atomic_ref(target).fetch_add(value, std::memory_order_relaxed);
}

// Zeroes the runs for which isRemoved(run number) in all slabs; returns the voxels removed.
template <typename Components, typename Grid, typename IsRemoved>
std::int64_t removeRuns(const Components& components, const Grid& grid, const IsRemoved& isRemoved) {
    std::vector<std::int64_t> removed(components.slabCount(), 0);
    parallelForEach(0, components.slabCount(), [&](std::int64_t slab) {
        std::int64_t count = 0;
        components.forSlab(
            slab, [&](std::int64_t x0, std::int64_t x1, std::int64_t y, std::int64_t plane, auto, std::int32_t run) {
                if (!isRemoved(run)) return;
                std::fill(grid.row(y, plane) + x0, grid.row(y, plane) + x1, 0);
                count += x1 - x0;
            });
        removed[slab] = count;
    });
    std::int64_t total = 0;
    for (const auto count : removed) total += count;
    return total;
}

template <typename T>
std::int64_t removeSmall(const RowGrid<T>& grid, const RunContacts& contacts, std::int64_t minVoxels) {
    if (minVoxels <= 1) return 0;
    RunComponents<RunKind::EqualValues, T> components(grid, contacts);
    components.flatten();
    return removeRuns(components, grid, [&](std::int32_t run) { return components.voxels(run) < minVoxels; });
}

template <typename T>
RowGrid<T> mutableGrid(Volume<T>& volume) {
    return volume.nz() == 1 ? rowGridOf(volume.slice(0)) : rowGridOf(volume);
}

}  // namespace

Connectivity connectivityFromNumber(int neighbours) {
    switch (neighbours) {
        case 4:
        case 8:
        case 6:
        case 18:
        case 26:
            return static_cast<Connectivity>(neighbours);
        default:
            throw UsageError(fmt::format("connectivity {}: use 6, 18 or 26 in 3D, 4 or 8 within slices", neighbours));
    }
}

template <typename T>
ComponentLabels labelComponents(const Volume<T>& volume, Connectivity connectivity) {
    auto components = connect<RunKind::EqualValues>(volume, connectivity);
    ComponentLabels result{Volume<std::uint32_t>(volume.geometry(), 0U), 0};
    result.count = components.numberComponents([](std::int32_t, std::int32_t, std::int32_t) {});
    parallelForEach(0, components.slabCount(), [&](std::int64_t slab) {
        components.forSlab(
            slab, [&](std::int64_t x0, std::int64_t x1, std::int64_t y, std::int64_t plane, T, std::int32_t run) {
                const Index3 at = rowOf(volume, y, plane);
                std::uint32_t* row = &result.labels(0, at[1], at[2]);
                std::fill(row + x0, row + x1, static_cast<std::uint32_t>(components.number(run)));
            });
    });
    return result;
}

template <typename T>
std::vector<Component> findComponents(const Volume<T>& volume, Connectivity connectivity) {
    auto components = connect<RunKind::EqualValues>(volume, connectivity);
    struct Sums {
        Index3 low{};
        Index3 high{};
        Index3 total{};
    };
    std::vector<Component> result;
    std::vector<Sums> sums;
    components.numberComponents([&](std::int32_t, std::int32_t voxels, std::int32_t) {
        result.push_back({0, voxels, {}, {}, {}});
        constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
        sums.push_back({{far, far, far}, {-1, -1, -1}, {}});
    });
    parallelForEach(0, components.slabCount(), [&](std::int64_t slab) {
        components.forSlab(slab, [&](std::int64_t x0, std::int64_t x1, std::int64_t y, std::int64_t plane, T value,
                                     std::int32_t run) {
            const std::int32_t number = components.number(run) - 1;
            const Index3 at = rowOf(volume, y, plane);
            const std::int64_t length = x1 - x0;
            Sums& sum = sums[number];
            std::atomic_ref(result[number].value).store(static_cast<std::int64_t>(value), std::memory_order_relaxed);
            atomicMin(sum.low[0], x0);
            atomicMax(sum.high[0], x1 - 1);
            atomicAdd(sum.total[0], (x0 + x1 - 1) * length / 2);
            for (int axis = 1; axis < 3; ++axis) {
                atomicMin(sum.low[axis], at[axis]);
                atomicMax(sum.high[axis], at[axis]);
                atomicAdd(sum.total[axis], at[axis] * length);
            }
        });
    });
    for (std::size_t i = 0; i < result.size(); ++i) {
        result[i].low = sums[i].low;
        result[i].high = sums[i].high;
        for (int axis = 0; axis < 3; ++axis)
            result[i].centroid[axis] = static_cast<double>(sums[i].total[axis]) / static_cast<double>(result[i].voxels);
    }
    return result;
}

template <typename T>
std::int64_t removeSmallComponents(Volume<T>& volume, std::int64_t minVoxels, Connectivity connectivity) {
    if (volume.empty()) throw DataError("connected components of a volume without voxels");
    const RunContacts contacts = volume.nz() == 1 ? sliceContacts(connectivity) : contactsOf(connectivity);
    return removeSmall(mutableGrid(volume), contacts, minVoxels);
}

template <typename T>
std::int64_t removeSmallComponents(SliceView<T> slice, std::int64_t minVoxels, Connectivity connectivity) {
    return removeSmall(rowGridOf(slice), sliceContacts(connectivity), minVoxels);
}

template <typename T>
Volume<std::uint8_t> largestComponent(const Volume<T>& volume, Connectivity connectivity) {
    auto components = connect<RunKind::NonZero>(volume, connectivity);
    std::int32_t best = -1, bestVoxels = 0;
    components.numberComponents([&](std::int32_t number, std::int32_t voxels, std::int32_t) {
        if (voxels <= bestVoxels) return;
        best = number;
        bestVoxels = voxels;
    });
    Volume<std::uint8_t> mask(volume.geometry(), 0);
    parallelForEach(0, components.slabCount(), [&](std::int64_t slab) {
        components.forSlab(
            slab, [&](std::int64_t x0, std::int64_t x1, std::int64_t y, std::int64_t plane, T, std::int32_t run) {
                if (components.number(run) != best) return;
                const Index3 at = rowOf(volume, y, plane);
                std::fill(&mask(0, at[1], at[2]) + x0, &mask(0, at[1], at[2]) + x1, std::uint8_t{1});
            });
    });
    return mask;
}

template <typename T>
std::int64_t keepLargestComponents(Volume<T>& volume, Connectivity connectivity) {
    auto components = connect<RunKind::EqualValues>(volume, connectivity);
    components.flatten();
    struct Best {
        std::int32_t run = -1;
        std::int32_t voxels = 0;
    };
    std::map<T, Best> bestOfLabel;
    for (std::int64_t slab = 0; slab < components.slabCount(); ++slab)
        components.forSlab(slab,
                           [&](std::int64_t, std::int64_t, std::int64_t, std::int64_t, T value, std::int32_t run) {
                               if (components.root(run) != run) return;
                               Best& best = bestOfLabel[value];
                               if (components.voxels(run) > best.voxels) best = {run, components.voxels(run)};
                           });
    std::vector<std::int32_t> kept;
    for (const auto& [value, best] : bestOfLabel) kept.push_back(best.run);
    std::sort(kept.begin(), kept.end());
    return removeRuns(components, mutableGrid(volume), [&](std::int32_t run) {
        return !std::binary_search(kept.begin(), kept.end(), components.root(run));
    });
}

#define MEDSEG_INSTANTIATE(T)                                                                 \
    template ComponentLabels labelComponents<T>(const Volume<T>&, Connectivity);              \
    template std::vector<Component> findComponents<T>(const Volume<T>&, Connectivity);        \
    template std::int64_t removeSmallComponents<T>(Volume<T>&, std::int64_t, Connectivity);   \
    template std::int64_t removeSmallComponents<T>(SliceView<T>, std::int64_t, Connectivity); \
    template Volume<std::uint8_t> largestComponent<T>(const Volume<T>&, Connectivity);        \
    template std::int64_t keepLargestComponents<T>(Volume<T>&, Connectivity);
MEDSEG_INSTANTIATE(std::uint8_t)
MEDSEG_INSTANTIATE(std::int8_t)
MEDSEG_INSTANTIATE(std::uint16_t)
MEDSEG_INSTANTIATE(std::int16_t)
MEDSEG_INSTANTIATE(std::uint32_t)
MEDSEG_INSTANTIATE(std::int32_t)
#undef MEDSEG_INSTANTIATE

}  // namespace medseg
