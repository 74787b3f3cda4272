#include "medseg/metrics/surface_bits.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace medseg {
namespace {

/// Bit i: voxels[i] == id, for count <= 64 voxels.
template <typename T>
std::uint64_t equalBits(const T* voxels, std::int64_t count, T id) {
    std::uint64_t bits = 0;
    std::int64_t i = 0;
    if constexpr (sizeof(T) == 1) {
        // Eight voxels at a time: a byte that equals id becomes 0x80, and a multiplication gathers the eight top bits.
        constexpr std::uint64_t kLow7 = 0x7f7f7f7f7f7f7f7fULL;
        const std::uint64_t pattern = id * 0x0101010101010101ULL;
        for (; i + 8 <= count; i += 8) {
            std::uint64_t word;
            std::memcpy(&word, voxels + i, sizeof word);
            word ^= pattern;
            const std::uint64_t equal = ~(((word & kLow7) + kLow7) | word | kLow7);
            if (equal != 0) bits |= ((equal >> 7) * 0x0102040810204080ULL >> 56) << i;
        }
    }
    for (; i < count; ++i) bits |= static_cast<std::uint64_t>(voxels[i] == id) << i;
    return bits;
}

template <typename T>
void fillMask(const Volume<T>& volume, int id, const IndexBox& box, BitGrid& mask) {
    const Index3& size = mask.size();
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y) {
            const T* voxels = volume.data() + volume.index(box.first[0], box.first[1] + y, box.first[2] + z);
            std::uint64_t* row = mask.row(y, z);
            for (std::int64_t x = 0; x < size[0]; x += 64)
                row[x >> 6] = equalBits(voxels + x, std::min<std::int64_t>(64, size[0] - x), static_cast<T>(id));
        }
}

/// The mask's rows around a row of corners; a row beyond the grid is empty.
class CornerRows {
  public:
    CornerRows(const BitGrid& mask, bool isFlat) : mask_(mask), isFlat_(isFlat) {}
    void moveTo(std::int64_t y, std::int64_t z) {
        count_ = 0;
        for (std::int64_t dz = isFlat_ ? 0 : -1; dz <= 0; ++dz)
            for (std::int64_t dy = -1; dy <= 0; ++dy) {
                const bool inside = y + dy >= 0 && y + dy < mask_.size()[1] && z + dz >= 0 && z + dz < mask_.size()[2];
                rows_[count_++] = inside ? mask_.row(y + dy, z + dz) : nullptr;
            }
    }
    std::uint64_t unionAt(std::int64_t word) const {
        std::uint64_t bits = 0;
        for (int i = 0; i < count_; ++i)
            if (rows_[i] != nullptr) bits |= rows_[i][word];
        return bits;
    }
    std::uint64_t intersectionAt(std::int64_t word) const {
        std::uint64_t bits = ~std::uint64_t{0};
        for (int i = 0; i < count_; ++i) bits &= rows_[i] != nullptr ? rows_[i][word] : 0;
        return bits;
    }

  private:
    const BitGrid& mask_;
    bool isFlat_;
    int count_ = 0;
    const std::uint64_t* rows_[4] = {};
};

}  // namespace

bool BitGrid::anySet() const {
    return std::any_of(words_.begin(), words_.end(), [](std::uint64_t word) { return word != 0; });
}

std::int64_t BitGrid::countSet() const {
    std::int64_t count = 0;
    for (const std::uint64_t word : words_) count += std::popcount(word);
    return count;
}

BitGrid maskBits(const StructureView& structure, const IndexBox& box) {
    BitGrid mask({box.last[0] - box.first[0], box.last[1] - box.first[1], box.last[2] - box.first[2]});
    if (structure.map != nullptr && structure.id > 0 && !structure.box.empty())
        structure.map->visit([&](const auto& volume) { fillMask(volume, structure.id, box, mask); });
    return mask;
}

BitGrid surfaceCorners(const BitGrid& mask, bool isFlat) {
    const Index3& size = mask.size();
    BitGrid corners({size[0] + 1, size[1] + 1, isFlat ? size[2] : size[2] + 1});
    CornerRows rows(mask, isFlat);
    for (std::int64_t z = 0; z < corners.size()[2]; ++z)
        for (std::int64_t y = 0; y < corners.size()[1]; ++y) {
            rows.moveTo(y, z);
            std::uint64_t* row = corners.row(y, z);
            // Corner i touches the voxels i and i - 1: the voxels' bits, and the same shifted by one.
            std::uint64_t carryAny = 0, carryAll = 0;
            for (std::int64_t word = 0; word < corners.wordsPerRow(); ++word) {
                const bool inside = word < mask.wordsPerRow();
                const std::uint64_t any = inside ? rows.unionAt(word) : 0;
                const std::uint64_t all = inside ? rows.intersectionAt(word) : 0;
                row[word] = (any | any << 1 | carryAny) & ~(all & (all << 1 | carryAll));
                carryAny = any >> 63;
                carryAll = all >> 63;
            }
        }
    return corners;
}

int cornerCode(const BitGrid& mask, std::int64_t x, std::int64_t y, std::int64_t z, bool isFlat) {
    const Index3& size = mask.size();
    int code = 0;
    for (int bit = 0; bit < (isFlat ? 4 : 8); ++bit) {
        const std::int64_t vx = x - 1 + (bit & 1);
        const std::int64_t vy = y - 1 + (bit >> 1 & 1);
        const std::int64_t vz = isFlat ? z : z - 1 + (bit >> 2);
        if (vx >= 0 && vx < size[0] && vy >= 0 && vy < size[1] && vz >= 0 && vz < size[2] && mask.test(vx, vy, vz))
            code |= 1 << bit;
    }
    return code;
}

BitGrid edgeVoxels(const BitGrid& mask, bool isFlat) {
    const Index3& size = mask.size();
    BitGrid edges(size);
    const auto wordAt = [&](std::int64_t word, std::int64_t y, std::int64_t z) -> std::uint64_t {
        if (y < 0 || y >= size[1] || z < 0 || z >= size[2] || word < 0 || word >= mask.wordsPerRow()) return 0;
        return mask.row(y, z)[word];
    };
    for (std::int64_t z = 0; z < size[2]; ++z)
        for (std::int64_t y = 0; y < size[1]; ++y)
            for (std::int64_t word = 0; word < mask.wordsPerRow(); ++word) {
                const std::uint64_t own = mask.row(y, z)[word];
                if (own == 0) continue;
                const std::uint64_t left = own << 1 | wordAt(word - 1, y, z) >> 63;
                const std::uint64_t right = own >> 1 | wordAt(word + 1, y, z) << 63;
                std::uint64_t inner = left & right & wordAt(word, y - 1, z) & wordAt(word, y + 1, z);
                if (!isFlat) inner &= wordAt(word, y, z - 1) & wordAt(word, y, z + 1);
                edges.row(y, z)[word] = own & ~inner;
            }
    return edges;
}

}  // namespace medseg
