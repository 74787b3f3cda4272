// From an object's occupancy to its surface with a trained latent stage of SAM 3D.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "medseg/dataset/sam3d_frame.h"
#include "medseg/io/splat_file.h"
#include "medseg/nn/sam3d/condition_images.h"
#include "medseg/nn/sam3d/latent_network.h"
#include "medseg/train/reconstruction_samples.h"
#include "medseg/volume/mesh.h"

namespace medseg {

/// An object as the mesh decoder sees it, in the cube of its frame.
struct DecodedObject {
    OccupancyFrame frame;
    Affine affine{};           ///< index (i, j, k) of the framed volume to RAS+ mm
    torch::Tensor solid;       ///< boolean (grid, grid, grid)
    torch::Tensor voxels;      ///< (n, 3) of the structure
    torch::Tensor latents;     ///< (n, channels)
    torch::Tensor fineVoxels;  ///< (m, 3) of the decoder's grid
    torch::Tensor corners;     ///< (m, 8): signed distance at their corners, cube units
    DecodedMesh mesh;          ///< in the cube
    std::int64_t resolution = 0;

    /// Triangles face outward whatever the affine does.
    Mesh worldMesh() const;
    /// For every voxel of `target` 1 inside, 0 outside and, within half a voxel of the surface, between.
    Volume<float> occupancy(const Geometry& target) const;
};

class SurfaceDecoder {
  public:
    /// The latent stage of a model, see findLatent(); null when it has none.
    static std::unique_ptr<SurfaceDecoder> find(const std::filesystem::path& model, const Recipe& recipe);

    /// What the latent generator needs of a slice; false when latents follow from the occupancy.
    bool needsCondition() const { return latent_.network->shape().generates; }
    std::int64_t conditionSize() const { return latent_.network->shape().condition.dino.inputSize; }

    /// `solid`: grid^3 voxels, z contiguous, not 0 inside. An empty solid gives an empty mesh. `condition`: of the
    /// slice; only looked at when needsCondition(). The same seed gives the same surface.
    DecodedObject decode(const std::vector<std::uint8_t>& solid, const OccupancyFrame& frame, const Affine& affine,
                         const ConditionImages* condition, std::uint64_t seed);
    /// Splats of the object in RAS+ mm, by the released Gaussian decoder in recipe.sam3d.weights. Throws DataError.
    std::vector<Splat> splats(const DecodedObject& object);

  private:
    SurfaceDecoder(LoadedLatent latent, const Recipe& recipe) : latent_(std::move(latent)), recipe_(recipe) {}

    LoadedLatent latent_;
    Recipe recipe_;  ///< for sampling
    GaussianDecoder gaussians_{nullptr};
};

}  // namespace medseg
