// Which voxels of a grid are occupied, and what sparse networks derive from that: neighbours under a 3x3x3 kernel,
// attention windows, finer and coarser grids. Memory is proportional to the number of voxels.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <torch/torch.h>

namespace medseg {

/// Pairs of rows that the taps of a kernel connect: tap k adds what it makes of row input[k][i] to row output[k][i].
/// No tap names an output row or an input row twice; output rows ascend.
struct SparseTaps : torch::CustomClassHolder {
    std::vector<torch::Tensor> input;   ///< int64, one tensor a tap
    std::vector<torch::Tensor> output;  ///< of the same lengths
    std::int64_t outputRows = 0;
};
using SparseTapsPointer = c10::intrusive_ptr<SparseTaps>;

/// Rows sorted into groups that attend to themselves.
struct AttentionGroups {
    /// `groups` groups of `size` rows each, one after another from row `first` of the sorted rows.
    struct Run {
        std::int64_t first = 0;
        std::int64_t groups = 0;
        std::int64_t size = 0;
    };
    torch::Tensor order;  ///< (n) int64: rows in the order of their groups
    torch::Tensor back;   ///< (n) int64: the way back
    std::vector<Run> runs;

    /// ids: (n) int64; equal ids make a group.
    static AttentionGroups of(const torch::Tensor& ids);
};

class SparseStructure;
using SparseStructurePointer = std::shared_ptr<SparseStructure>;

/// A coarser grid: cells of 2x2x2 voxels.
struct SparseCells {
    SparseStructurePointer structure;  ///< cells by (batch, x, y, z)
    torch::Tensor cellOf;              ///< (n) int64: the cell of every voxel
    torch::Tensor counts;              ///< (cells) float: voxels in each
};

class SparseStructure {
  public:
    /// coordinates: (n, 4) integers (batch, x, y, z), distinct, none negative nor above 32765, the rows of one batch
    /// item together and items ascending. n may be 0. Throws UsageError.
    explicit SparseStructure(const torch::Tensor& coordinates);
    /// One batch item from (n, 3) coordinates (x, y, z).
    static SparseStructurePointer single(const torch::Tensor& coordinates);

    std::int64_t size() const { return coordinates_.size(0); }
    /// (n, 4) int64 on the CPU.
    const torch::Tensor& coordinates() const { return coordinates_; }
    /// (n, 3) int64.
    torch::Tensor positions() const { return coordinates_.narrow(1, 1, 3); }
    /// First row and number of rows of every batch item that has voxels.
    const std::vector<std::pair<std::int64_t, std::int64_t>>& items() const { return items_; }
    /// Index of each of these in the batch.
    const std::vector<std::int64_t>& itemIndices() const { return itemIndices_; }

    /// Taps of a submanifold 3x3x3 convolution, (kx, ky, kz) with kz fastest: output at occupied voxels only.
    const SparseTapsPointer& neighbours();
    /// Taps of such a convolution on subdivided() whose input is the same for the eight children of a voxel. Its 216
    /// products a voxel then collapse to 64, of kernels summed over taps that meet the same voxel: 4 a axis, (parity 0,
    /// voxel before), (0, own), (1, own), (1, voxel after).
    const SparseTapsPointer& childNeighbours();

    /// Number of the window of every voxel, ascending by (batch, wx, wy, wz): floor((coordinate + shift) / size).
    torch::Tensor windowIds(std::int64_t size, std::int64_t shift) const;
    const AttentionGroups& windows(std::int64_t size, std::int64_t shift);
    /// One group a batch item.
    const AttentionGroups& wholes();

    /// Every voxel split into eight, children in the order (dx, dy, dz) with dz fastest: row 8 n + child.
    const SparseStructurePointer& subdivided();
    const SparseCells& cells();

  private:
    torch::Tensor keys() const;

    torch::Tensor coordinates_;
    std::vector<std::pair<std::int64_t, std::int64_t>> items_;
    std::vector<std::int64_t> itemIndices_;
    SparseTapsPointer neighbours_, childNeighbours_;
    std::map<std::pair<std::int64_t, std::int64_t>, AttentionGroups> windows_;
    std::unique_ptr<AttentionGroups> wholes_;
    SparseStructurePointer subdivided_;
    std::unique_ptr<SparseCells> cells_;
};

}  // namespace medseg
