// SAM 3D's mesh decoder: from latents of occupied voxels to the field on a grid four times as fine from which
// FlexiCubes takes the surface. Parameters carry the names of slat_decoder_mesh.ckpt.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/sparse_mesh.h"
#include "medseg/nn/sam3d/sparse_transformer.h"
#include "medseg/nn/sam3d/subdivision_block.h"

namespace medseg {

struct MeshDecoderShape {
    SparseTransformerShape torso;
    std::int64_t resolution = 64;  ///< of the structure
    std::int64_t groups = 32;      ///< of the group norms
    bool colors = true;

    std::int64_t meshResolution() const { return 4 * resolution; }
};

/// "tiny" (trains on a CPU in minutes), "small" or "official". Throws UsageError listing the names.
MeshDecoderShape meshDecoderShape(const std::string& preset);

/// What every voxel of the fine grid says, before it becomes a mesh.
struct DecodedField {
    SparseStructurePointer structure;  ///< on the fine grid
    torch::Tensor channels;            ///< (voxels, MeshChannels::count())
};

class MeshDecoderImpl : public torch::nn::Module {
  public:
    explicit MeshDecoderImpl(const MeshDecoderShape& shape);

    const MeshDecoderShape& shape() const { return shape_; }

    /// latents: (voxels, channels), de-normalised.
    DecodedField forward(const torch::Tensor& latents, const SparseStructurePointer& structure);
    /// The mesh of every batch item from 0 to the last one that has voxels. `solids`: empty, or one for every item, see
    /// extractMesh().
    std::vector<DecodedMesh> meshes(const DecodedField& field, bool training,
                                    const std::vector<torch::Tensor>& solids = {}) const;

    SparseTransformer& torso() { return torso_; }
    SubdivisionBlock& upsampling(std::size_t index) { return upsampling_.at(index); }
    Linear& outputLayer() { return output_; }

  private:
    MeshDecoderShape shape_;
    SparseTransformer torso_{nullptr};
    std::vector<SubdivisionBlock> upsampling_;
    Linear output_{nullptr};
};
TORCH_MODULE(MeshDecoder);

}  // namespace medseg
