// Masks and surfaces of one structure as bits: 64 voxels a word, so that whole rows are tested at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "medseg/metrics/surface.h"

namespace medseg {

/// A grid of bits, x fastest, every row starting at a word of its own. Bits beyond the row's end are 0.
class BitGrid {
  public:
    BitGrid() = default;
    explicit BitGrid(const Index3& size)
        : size_(size), wordsPerRow_((size[0] + 63) / 64), words_(wordsPerRow_ * size[1] * size[2], 0) {}

    const Index3& size() const { return size_; }
    std::int64_t wordsPerRow() const { return wordsPerRow_; }
    std::uint64_t* row(std::int64_t y, std::int64_t z) { return words_.data() + wordsPerRow_ * (y + size_[1] * z); }
    const std::uint64_t* row(std::int64_t y, std::int64_t z) const {
        return words_.data() + wordsPerRow_ * (y + size_[1] * z);
    }
    bool test(std::int64_t x, std::int64_t y, std::int64_t z) const { return (row(y, z)[x >> 6] >> (x & 63) & 1) != 0; }
    bool anySet() const;
    std::int64_t countSet() const;

  private:
    Index3 size_{0, 0, 0};
    std::int64_t wordsPerRow_ = 0;
    std::vector<std::uint64_t> words_;
};

/// Voxels of the structure inside `box`.
BitGrid maskBits(const StructureView& structure, const IndexBox& box);

/// Corners between voxels where the 2x2x2 (flat: 2x2) voxels around are neither all inside nor all outside; voxels
/// beyond the grid are outside. One corner more than voxels along each axis (flat: along x and y); corner i lies
/// between the voxels i - 1 and i.
BitGrid surfaceCorners(const BitGrid& mask, bool isFlat);

/// Which voxels around a corner are inside: bit dx + 2*dy + 4*dz for voxel (x - 1 + dx, y - 1 + dy, z - 1 + dz); flat
/// grids use the bits with dz = 0.
int cornerCode(const BitGrid& mask, std::int64_t x, std::int64_t y, std::int64_t z, bool isFlat);

/// Voxels of the mask with a face neighbour (flat: edge neighbour) outside the mask or beyond the grid.
BitGrid edgeVoxels(const BitGrid& mask, bool isFlat);

/// Area of the surface through a corner, by cornerCode(), mm^2; flat: its length, mm. Indexed 0..255 (flat: 0..15).
std::vector<double> surfaceElementWeights(const Vec3& spacing, bool isFlat);

}  // namespace medseg
