// From slices with masks to shapes in 3D with a trained SAM 3D.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "medseg/dataset/sam3d_frame.h"
#include "medseg/infer/surface_decoder.h"
#include "medseg/nn/network_module.h"
#include "medseg/nn/sam3d/sam3d_network.h"
#include "medseg/train/reconstruction_samples.h"

namespace medseg {

/// A slice to reconstruct from, on the grid of a volume of `size` voxels whose index (i, j, k) lies at affine (i, j,
/// k).
struct ConditionSlice {
    Sam3dSlice slice;
    Affine affine{};
    Index3 size{};
    std::string name;  ///< for messages and, with the seed, for the noise
};

/// What was reconstructed of a label.
struct ReconstructedObject {
    Volume<float> probability;             ///< 0..1 at every voxel of the target: the structure stage's
    std::optional<DecodedObject> decoded;  ///< where the model has a mesh decoder and recipe.sampling.mesh is on
};

class Reconstructor {
  public:
    /// `overrides`: recipe keys that win over the model's recipe (sampling.steps=10).
    Reconstructor(const std::filesystem::path& model, const std::vector<std::string>& overrides);

    const Recipe& recipe() const { return model_.recipe; }
    const std::vector<std::string>& labels() const { return model_.labels; }

    /// The mean over slices and recipe.sampling.samples samples of each, at every voxel of `target`. The surface is
    /// decoded from the mean over all slices that share the first one's frame, with the first slice as condition. The
    /// same model, slices and seed give the same result. Throws DataError for a slice that does not show the label,
    /// InterruptedError.
    ReconstructedObject object(const std::vector<ConditionSlice>& slices, int label, const Geometry& target);
    /// True when object() decodes surfaces.
    bool hasSurfaces() const { return surfaces_ != nullptr; }
    SurfaceDecoder& surfaces() { return *surfaces_; }

  private:
    /// Mean over samples, flat over the frame.
    std::vector<float> frameProbability(const ConditionSlice& slice, int label, const OccupancyFrame& frame);

    LoadedSam3d model_;
    ConditionRules rules_;
    FlowSampling sampling_;
    std::unique_ptr<SurfaceDecoder> surfaces_;
};

/// Reconstructs from files; see NetworkModule.
ReconstructOutcome reconstructFile(const ReconstructRequest& request);
ReconstructOutcome reconstructCases(const ReconstructCasesRequest& request);

}  // namespace medseg
