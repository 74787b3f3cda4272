// The counting pass behind confusionOf(). Label maps are long runs of equal voxels, so the pass looks for the places
// where a run ends, 64 voxels at a time, and touches a counter only there: it runs nearly at the speed of memory.
#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <type_traits>
#include <unordered_map>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#include <tbb/enumerable_thread_specific.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/metrics/overlap.h"

namespace medseg {
namespace {

std::uint64_t loadWord(const void* address) {
    std::uint64_t word;
    std::memcpy(&word, address, sizeof word);
    return word;
}

template <typename T>
std::uint64_t broadcast(T value) {
    return sizeof(T) == 1 ? value * 0x0101010101010101ULL : value * 0x0001000100010001ULL;
}

/// End of the run of (a[i], b[i]) == (a[start], b[start]).
template <typename A, typename B>
std::int64_t runEnd(const A* a, const B* b, std::int64_t start, std::int64_t end) {
    const A labelA = a[start];
    const B labelB = b[start];
    std::int64_t i = start + 1;
    if constexpr (sizeof(A) == sizeof(B)) {
        constexpr std::int64_t kPerWord = 8 / sizeof(A);
        constexpr std::int64_t kPerBlock = 8 * kPerWord;
        const std::uint64_t wordA = broadcast(labelA);
        const std::uint64_t wordB = broadcast(labelB);
        while (i + kPerBlock <= end) {
            std::uint64_t difference = 0;
            for (int k = 0; k < 8; ++k)
                difference |= (loadWord(a + i + k * kPerWord) ^ wordA) | (loadWord(b + i + k * kPerWord) ^ wordB);
            if (difference != 0) break;
            i += kPerBlock;
        }
        while (i + kPerWord <= end) {
            const std::uint64_t difference = (loadWord(a + i) ^ wordA) | (loadWord(b + i) ^ wordB);
            if (difference != 0) {
                static_assert(std::endian::native == std::endian::little);
                return i + std::countr_zero(difference) / (8 * static_cast<int>(sizeof(A)));
            }
            i += kPerWord;
        }
    }
    while (i < end && a[i] == labelA && b[i] == labelB) ++i;
    return i;
}

/// Calls emit(start, end) for every run of equal pairs in [first, last).
template <typename A, typename B, typename Emit>
void forEachRun(const A* a, const B* b, std::int64_t first, std::int64_t last, const Emit& emit) {
    for (std::int64_t i = first; i < last;) {
        const std::int64_t end = runEnd(a, b, i, last);
        emit(i, end);
        i = end;
    }
}

#if defined(__SSE2__)
/// Bit k: voxel k equals the voxel before it, for 16 voxels.
unsigned equalToPrevious(const std::uint8_t* voxels) {
    const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(voxels));
    const __m128i before = _mm_loadu_si128(reinterpret_cast<const __m128i*>(voxels - 1));
    return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(here, before)));
}

/// For bytes, all ends of runs among 64 voxels are found at once, whatever the labels are.
template <typename Emit>
void forEachRun(const std::uint8_t* a, const std::uint8_t* b, std::int64_t first, std::int64_t last, const Emit& emit) {
    std::int64_t start = first;
    std::int64_t i = first + 1;
    for (; i + 64 <= last; i += 64) {
        std::uint64_t same = 0;
        for (int part = 0; part < 4; ++part)
            same |= static_cast<std::uint64_t>(equalToPrevious(a + i + 16 * part) & equalToPrevious(b + i + 16 * part))
                    << (16 * part);
        for (std::uint64_t ends = ~same; ends != 0; ends &= ends - 1) {
            const std::int64_t end = i + std::countr_zero(ends);
            emit(start, end);
            start = end;
        }
    }
    for (; i < last; ++i)
        if (a[i] != a[i - 1] || b[i] != b[i - 1]) {
            emit(start, i);
            start = i;
        }
    if (start < last) emit(start, last);
}
#endif

/// Counts of all pairs of 8-bit labels.
class DenseCounts {
  public:
    DenseCounts() : counts_(std::make_unique<std::int64_t[]>(256 * 256)) {}
    void add(int a, int b, std::int64_t voxels) { counts_[a * 256 + b] += voxels; }
    template <typename Function>
    void forEach(Function&& function) const {
        for (int i = 0; i < 256 * 256; ++i)
            if (counts_[i] != 0) function(i / 256, i % 256, counts_[i]);
    }

  private:
    std::unique_ptr<std::int64_t[]> counts_;
};

/// Counts of the pairs that occur, for label ids up to 65535.
class SparseCounts {
  public:
    void add(int a, int b, std::int64_t voxels) {
        counts_[static_cast<std::uint32_t>(a) << 16 | static_cast<std::uint32_t>(b)] += voxels;
    }
    template <typename Function>
    void forEach(Function&& function) const {
        for (const auto& [key, voxels] : counts_)
            function(static_cast<int>(key >> 16), static_cast<int>(key & 0xffff), voxels);
    }

  private:
    std::unordered_map<std::uint32_t, std::int64_t> counts_;
};

/// Bounding boxes by label id.
class Boxes {
  public:
    void add(int id, std::int64_t x0, std::int64_t x1, std::int64_t y, std::int64_t z) {
        if (static_cast<std::size_t>(id) >= boxes_.size()) boxes_.resize(id + 1);
        IndexBox& box = boxes_[id];
        box.first = {std::min(box.first[0], x0), std::min(box.first[1], y), std::min(box.first[2], z)};
        box.last = {std::max(box.last[0], x1), std::max(box.last[1], y + 1), std::max(box.last[2], z + 1)};
    }
    void unite(const Boxes& other) {
        if (other.boxes_.size() > boxes_.size()) boxes_.resize(other.boxes_.size());
        for (std::size_t id = 0; id < other.boxes_.size(); ++id) boxes_[id] = boxes_[id].unitedWith(other.boxes_[id]);
    }
    std::vector<IndexBox> take() { return std::move(boxes_); }

  private:
    std::vector<IndexBox> boxes_;
};

template <typename Counts>
struct Tally {
    Counts counts;
    Boxes reference;
    Boxes prediction;
};

template <typename A, typename B, typename Counts>
void countRange(const A* a, const B* b, std::int64_t first, std::int64_t last, Tally<Counts>& tally) {
    forEachRun(a, b, first, last,
               [&](std::int64_t start, std::int64_t end) { tally.counts.add(a[start], b[start], end - start); });
}

template <typename A, typename B, typename Counts>
void countRow(const A* a, const B* b, std::int64_t width, std::int64_t y, std::int64_t z, Tally<Counts>& tally) {
    forEachRun(a, b, 0, width, [&](std::int64_t start, std::int64_t end) {
        tally.counts.add(a[start], b[start], end - start);
        if (a[start] != 0) tally.reference.add(a[start], start, end, y, z);
        if (b[start] != 0) tally.prediction.add(b[start], start, end, y, z);
    });
}

template <typename Counts>
Confusion combine(tbb::enumerable_thread_specific<Tally<Counts>>& tallies) {
    std::vector<ConfusionCell> cells;
    std::unordered_map<std::uint32_t, std::size_t> positions;
    Boxes reference;
    Boxes prediction;
    for (Tally<Counts>& tally : tallies) {
        tally.counts.forEach([&](int a, int b, std::int64_t voxels) {
            const std::uint32_t key = static_cast<std::uint32_t>(a) << 16 | static_cast<std::uint32_t>(b);
            const auto [position, isNew] = positions.try_emplace(key, cells.size());
            if (isNew) cells.push_back({a, b, 0});
            cells[position->second].voxels += voxels;
        });
        reference.unite(tally.reference);
        prediction.unite(tally.prediction);
    }
    return Confusion(std::move(cells), reference.take(), prediction.take());
}

template <typename A, typename B>
Confusion countPairs(const Volume<A>& reference, const Volume<B>& prediction, bool withBoxes) {
    using Counts = std::conditional_t<sizeof(A) == 1 && sizeof(B) == 1, DenseCounts, SparseCounts>;
    tbb::enumerable_thread_specific<Tally<Counts>> tallies;
    const A* a = reference.data();
    const B* b = prediction.data();
    const std::int64_t width = reference.nx();
    const std::int64_t height = reference.ny();
    constexpr std::int64_t kGrain = 1 << 18;
    if (withBoxes) {
        parallelFor(0, height * reference.nz(), std::max<std::int64_t>(1, kGrain / width),
                    [&](std::int64_t first, std::int64_t last) {
                        Tally<Counts>& tally = tallies.local();
                        for (std::int64_t row = first; row < last; ++row)
                            countRow(a + row * width, b + row * width, width, row % height, row / height, tally);
                    });
    } else {
        parallelFor(0, reference.voxelCount(), kGrain,
                    [&](std::int64_t first, std::int64_t last) { countRange(a, b, first, last, tallies.local()); });
    }
    return combine(tallies);
}

}  // namespace

Confusion confusionOf(const LabelMap& reference, const LabelMap& prediction, bool withBoxes) {
    if (reference.geometry().size() != prediction.geometry().size())
        throw DataError("reference has " + formatSize(reference.geometry().size()) + " voxels, prediction " +
                        formatSize(prediction.geometry().size()) + ": bring both to the same grid first");
    return reference.visit(
        [&](const auto& a) { return prediction.visit([&](const auto& b) { return countPairs(a, b, withBoxes); }); });
}

}  // namespace medseg
