// SAM 3D's Gaussian decoder: latents of occupied voxels to Gaussian splats. Parameters carry the names of
// slat_decoder_gs.ckpt and slat_decoder_gs_4.ckpt.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/sparse_transformer.h"

namespace medseg {

struct GaussianDecoderShape {
    SparseTransformerShape torso;
    std::int64_t resolution = 64;  ///< of the structure
    std::int64_t perVoxel = 32;    ///< Gaussians
    bool perturbOffset = true;     ///< offsets start from the buffer offset_perturbation
    double voxelSize = 1.5;        ///< centres stay within half of this, in voxels, of their voxel's centre
    double smallestScale = 0.0009;
    double scaleBias = 0.004;
    double opacityBias = 0.1;
    bool softplus = true;  ///< scales through softplus, else exp
    double offsetRate = 1, colorRate = 1, scaleRate = 1, rotationRate = 0.1, opacityRate = 1;

    std::int64_t channels() const { return 14 * perVoxel; }
};

/// Splats of one object in the cube [-0.5, 0.5]^3.
struct Gaussians {
    torch::Tensor centres;    ///< (n, 3)
    torch::Tensor colors;     ///< (n, 1, 3): coefficients of the constant spherical harmonic
    torch::Tensor scales;     ///< (n, 3): standard deviations
    torch::Tensor rotations;  ///< (n, 4): unit quaternions, real part first
    torch::Tensor opacities;  ///< (n, 1): 0..1
};

class GaussianDecoderImpl : public torch::nn::Module {
  public:
    explicit GaussianDecoderImpl(const GaussianDecoderShape& shape);

    const GaussianDecoderShape& shape() const { return shape_; }

    /// latents: (voxels, channels), de-normalised, to raw channels (voxels, shape().channels()).
    torch::Tensor forward(const torch::Tensor& latents, SparseStructure& structure);
    /// The splats of every batch item that has voxels, in the order of structure.items().
    std::vector<Gaussians> gaussians(const torch::Tensor& channels, const SparseStructure& structure) const;

  private:
    GaussianDecoderShape shape_;
    SparseTransformer torso_{nullptr};
    Linear output_{nullptr};
    torch::Tensor perturbation_;
};
TORCH_MODULE(GaussianDecoder);

}  // namespace medseg
