// Runs: maximal stretches of voxels of one row that belong together, and the union-find over them that connected
// components, dust removal and hole filling share.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"

namespace medseg {

/// Which voxels form runs.
enum class RunKind {
    EqualValues,  ///< non-zero, each value on its own
    NonZero,      ///< everything but 0
    Zero          ///< the background
};

/// How rows touch: x-overlap may include one diagonal step where `Diagonal`.
enum class RowContact { None, Overlap, Diagonal };

/// Contacts between a row and its neighbours in the same plane (y-1), in the plane before (same y), and in the plane
/// before (y-1 and y+1).
struct RunContacts {
    RowContact samePlane = RowContact::Overlap;
    RowContact nextPlane = RowContact::Overlap;
    RowContact nextPlaneDiagonal = RowContact::None;
};

namespace runs {

/// First index after `x` whose value differs from row[x], at most n. Compares eight bytes at a time.
template <typename T>
std::int64_t equalEnd(const T* row, std::int64_t x, std::int64_t n) {
    constexpr std::int64_t kPerWord = 8 / sizeof(T);
    const T value = row[x];
    std::uint64_t pattern = 0;
    for (std::int64_t i = 0; i < kPerWord; ++i)
        std::memcpy(reinterpret_cast<char*>(&pattern) + i * sizeof(T), &value, sizeof(T));
    const auto word = [row](std::int64_t i) {
        std::uint64_t result;
        std::memcpy(&result, row + i, 8);
        return result;
    };
    for (; x + 4 * kPerWord <= n; x += 4 * kPerWord)
        if (((word(x) ^ pattern) | (word(x + kPerWord) ^ pattern) | (word(x + 2 * kPerWord) ^ pattern) |
             (word(x + 3 * kPerWord) ^ pattern)) != 0)
            break;
    for (; x + kPerWord <= n; x += kPerWord) {
        const std::uint64_t difference = word(x) ^ pattern;
        if (difference == 0) continue;
        if constexpr (std::endian::native == std::endian::little)
            return x + std::countr_zero(difference) / static_cast<int>(8 * sizeof(T));
        break;
    }
    while (x < n && row[x] == value) ++x;
    return x;
}

/// Calls emit(first, end, value) for every run of a row, left to right.
template <RunKind Kind, typename T, typename Emit>
void forRow(const T* row, std::int64_t n, const Emit& emit) {
    std::int64_t x = 0;
    while (x < n) {
        const T value = row[x];
        std::int64_t end = equalEnd(row, x, n);
        if constexpr (Kind == RunKind::EqualValues) {
            if (value != 0) emit(x, end, value);
        } else if constexpr (Kind == RunKind::Zero) {
            if (value == 0) emit(x, end, T{0});
        } else if (value != 0) {
            while (end < n && row[end] != 0) end = equalEnd(row, end, n);
            emit(x, end, T{1});
        }
        x = end;
    }
}

}  // namespace runs

/// The rows of a volume seen as planes of rows: slices of a volume, or the rows of a single slice (one row a plane).
template <typename T>
struct RowGrid {
    T* data = nullptr;
    std::int64_t length = 0;  ///< voxels a row
    std::int64_t rows = 0;    ///< rows a plane
    std::int64_t planes = 0;
    std::int64_t rowStride = 0;
    std::int64_t planeStride = 0;

    T* row(std::int64_t y, std::int64_t plane) const { return data + y * rowStride + plane * planeStride; }
    std::int64_t voxelCount() const { return length * rows * planes; }
};

/// Union-find over the runs of a grid. Runs are numbered in raster order with gaps between the slabs that are worked on
/// in parallel; the representative of a component is its first run, hence components are in the order of their first
/// voxels. Needs 4 bytes a run (never more runs than voxels): untouched pages of the table cost nothing.
template <RunKind Kind, typename T>
class RunComponents {
  public:
    /// `reserved` numbers are kept free for nodes of the caller (0 .. reserved-1).
    RunComponents(const RowGrid<T>& grid, const RunContacts& contacts, std::int32_t reserved = 0)
        : grid_(grid), contacts_(contacts) {
        const std::int64_t capacity = grid.voxelCount() + reserved;
        if (capacity >= std::numeric_limits<std::int32_t>::max())
            throw DataError(fmt::format("connected components of {} voxels: at most 2^31 - 1 are supported", capacity));
        parent_ = std::make_unique_for_overwrite<std::int32_t[]>(capacity);
        for (std::int32_t i = 0; i < reserved; ++i) parent_[i] = -1;
        const std::int64_t perSlab =
            std::max<std::int64_t>({1, (grid.planes + kSlabs - 1) / kSlabs,
                                    kMinSlabVoxels / std::max<std::int64_t>(1, grid.length * grid.rows)});
        for (std::int64_t plane = 0; plane < grid.planes; plane += perSlab) {
            Slab slab;
            slab.firstPlane = plane;
            slab.endPlane = std::min(grid.planes, plane + perSlab);
            slab.firstRun = static_cast<std::int32_t>(reserved + plane * grid.length * grid.rows);
            slabs_.push_back(slab);
        }
        parallelForEach(0, slabCount(), [&](std::int64_t s) { connectSlab(slabs_[s]); });
        if (contacts_.nextPlane != RowContact::None)
            for (std::size_t s = 1; s < slabs_.size(); ++s) connectSeam(slabs_[s - 1], slabs_[s]);
    }

    std::int64_t slabCount() const { return static_cast<std::int64_t>(slabs_.size()); }
    /// Calls body(first, end, y, plane, value, run number) for the runs of one slab in raster order.
    template <typename Body>
    void forSlab(std::int64_t slabIndex, const Body& body) const {
        const Slab& slab = slabs_[slabIndex];
        std::int32_t id = slab.firstRun;
        for (std::int64_t plane = slab.firstPlane; plane < slab.endPlane; ++plane)
            for (std::int64_t y = 0; y < grid_.rows; ++y)
                runs::forRow<Kind>(grid_.row(y, plane), grid_.length, [&](std::int64_t x0, std::int64_t x1, T value) {
                    body(x0, x1, y, plane, value, id++);
                });
    }

    std::int32_t find(std::int32_t i) {
        while (parent_[i] >= 0) {
            const std::int32_t p = parent_[i];
            if (parent_[p] < 0) return p;
            parent_[i] = parent_[p];
            i = parent_[p];
        }
        return i;
    }

    void unite(std::int32_t a, std::int32_t b) {
        a = find(a);
        b = find(b);
        if (a == b) return;
        if (a > b) std::swap(a, b);
        parent_[a] += parent_[b];
        parent_[b] = a;
    }

    /// Makes every run point at its representative; root() and voxels() work from then on, from any thread.
    void flatten() {
        forRuns([&](std::int32_t i) {
            const std::int32_t p = parent_[i];
            if (p >= 0 && parent_[p] >= 0) parent_[i] = parent_[p];
        });
    }
    std::int32_t root(std::int32_t run) const { return parent_[run] < 0 ? run : parent_[run]; }
    /// Voxels of the component of `run`.
    std::int32_t voxels(std::int32_t run) const { return -parent_[root(run)]; }

    /// Replaces the table by component numbers 1, 2, ... in the order of first voxels; calls body(number, voxels, run)
    /// for each component's first run. Afterwards only number() may be asked. Returns the number of components.
    template <typename Body>
    std::int64_t numberComponents(const Body& body) {
        std::int32_t count = 0;
        forRuns([&](std::int32_t i) {
            const std::int32_t p = parent_[i];
            if (p < 0) {
                parent_[i] = ++count;
                body(count, -p, i);
            } else {
                parent_[i] = parent_[p];
            }
        });
        return count;
    }
    std::int32_t number(std::int32_t run) const { return parent_[run]; }

  private:
    static constexpr std::int64_t kSlabs = 32;
    static constexpr std::int64_t kMinSlabVoxels = 1 << 16;

    struct Slab {
        std::int64_t firstPlane = 0;
        std::int64_t endPlane = 0;
        std::int32_t firstRun = 0;
        std::int32_t endRun = 0;
        std::int32_t lastPlaneFirstRun = 0;
    };
    using Value = std::remove_const_t<T>;
    struct Run {
        std::int32_t first;
        std::int32_t end;
        std::int32_t id;
        Value value;
    };
    struct PlaneRuns {
        std::vector<Run> runs;
        std::vector<std::size_t> rowStart;
    };

    template <typename Body>
    void forRuns(const Body& body) {
        for (const Slab& slab : slabs_)
            for (std::int32_t i = slab.firstRun; i < slab.endRun; ++i) body(i);
    }

    void scanRow(std::int64_t y, std::int64_t plane, PlaneRuns& runs, std::int32_t& id) const {
        runs::forRow<Kind>(grid_.row(y, plane), grid_.length, [&](std::int64_t x0, std::int64_t x1, T value) {
            runs.runs.push_back({static_cast<std::int32_t>(x0), static_cast<std::int32_t>(x1), id++, value});
        });
        runs.rowStart.push_back(runs.runs.size());
    }

    static void clear(PlaneRuns& runs) {
        runs.runs.clear();
        runs.rowStart.assign(1, 0);
    }

    void connectRows(const PlaneRuns& a, std::int64_t rowA, const PlaneRuns& b, std::int64_t rowB, RowContact contact) {
        if (contact == RowContact::None || rowB < 0 || rowB >= grid_.rows) return;
        const std::int32_t reach = contact == RowContact::Diagonal ? 1 : 0;
        const Run* other = b.runs.data() + b.rowStart[rowB];
        const Run* otherEnd = b.runs.data() + b.rowStart[rowB + 1];
        for (std::size_t i = a.rowStart[rowA]; i < a.rowStart[rowA + 1]; ++i) {
            const Run& run = a.runs[i];
            while (other != otherEnd && other->end + reach <= run.first) ++other;
            for (const Run* touching = other; touching != otherEnd && touching->first < run.end + reach; ++touching)
                if (touching->value == run.value) unite(touching->id, run.id);
        }
    }

    void connectPlane(const PlaneRuns& plane, std::int64_t y, const PlaneRuns& before) {
        connectRows(plane, y, before, y, contacts_.nextPlane);
        connectRows(plane, y, before, y - 1, contacts_.nextPlaneDiagonal);
        connectRows(plane, y, before, y + 1, contacts_.nextPlaneDiagonal);
    }

    void connectSlab(Slab& slab) {
        PlaneRuns current, before;
        std::int32_t id = slab.firstRun;
        for (std::int64_t plane = slab.firstPlane; plane < slab.endPlane; ++plane) {
            std::swap(current, before);
            clear(current);
            slab.lastPlaneFirstRun = id;
            for (std::int64_t y = 0; y < grid_.rows; ++y) {
                scanRow(y, plane, current, id);
                for (std::size_t i = current.rowStart[y]; i < current.rowStart[y + 1]; ++i)
                    parent_[current.runs[i].id] = current.runs[i].first - current.runs[i].end;
                if (y > 0) connectRows(current, y, current, y - 1, contacts_.samePlane);
                if (plane > slab.firstPlane && contacts_.nextPlane != RowContact::None)
                    connectPlane(current, y, before);
            }
        }
        slab.endRun = id;
    }

    void connectSeam(const Slab& lower, const Slab& upper) {
        PlaneRuns current, before;
        clear(current);
        clear(before);
        std::int32_t id = lower.lastPlaneFirstRun;
        for (std::int64_t y = 0; y < grid_.rows; ++y) scanRow(y, lower.endPlane - 1, before, id);
        id = upper.firstRun;
        for (std::int64_t y = 0; y < grid_.rows; ++y) scanRow(y, upper.firstPlane, current, id);
        for (std::int64_t y = 0; y < grid_.rows; ++y) connectPlane(current, y, before);
    }

    RowGrid<T> grid_;
    RunContacts contacts_;
    std::vector<Slab> slabs_;
    /// Minus the voxels of the component for its first run, else a run of the same component with a smaller number.
    std::unique_ptr<std::int32_t[]> parent_;
};

}  // namespace medseg
