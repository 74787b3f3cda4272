// One step of the mesh decoder from a grid to one twice as fine.
#pragma once

#include <torch/torch.h>

#include "medseg/nn/sam3d/sparse_layers.h"

namespace medseg {

/// Group norm, SiLU, split into eight children, convolution, group norm, SiLU, convolution, plus the split input
/// through a convolution of kernel 1 (when the number of channels changes). Names act_layers.0, out_layers.0, .1, .3
/// and skip_connection.
class SubdivisionBlockImpl : public torch::nn::Module {
  public:
    SubdivisionBlockImpl(std::int64_t in, std::int64_t out, std::int64_t groups, double epsilon = 1e-5);

    /// (voxels, in) to (8 voxels, out), features of structure.subdivided().
    torch::Tensor forward(const torch::Tensor& x, SparseStructure& structure);

    /// The parts of forward(): what enters and what leaves the first convolution.
    torch::Tensor activated(const torch::Tensor& x, const SparseStructure& structure);
    torch::Tensor firstConvolution(const torch::Tensor& activated, SparseStructure& structure);

  private:
    SparseGroupNorm norm_{nullptr}, childNorm_{nullptr};
    SparseConvolution first_{nullptr}, second_{nullptr}, skip_{nullptr};
};
TORCH_MODULE(SubdivisionBlock);

}  // namespace medseg
