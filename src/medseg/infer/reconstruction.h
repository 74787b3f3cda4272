// From slices with masks to shapes in 3D with a trained SAM 3D.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "medseg/dataset/sam3d_frame.h"
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

class Reconstructor {
  public:
    /// `overrides`: recipe keys that win over the model's recipe (sampling.steps=10).
    Reconstructor(const std::filesystem::path& model, const std::vector<std::string>& overrides);

    const Recipe& recipe() const { return model_.recipe; }
    const std::vector<std::string>& labels() const { return model_.labels; }

    /// Probability 0..1 of `label` at every voxel of `target`: the mean over slices and recipe.sampling.samples samples of
    /// each. The same model, slices and seed give the same result. Throws DataError for a slice that does not show the
    /// label, InterruptedError.
    Volume<float> probability(const std::vector<ConditionSlice>& slices, int label, const Geometry& target);

  private:
    /// Mean over samples, flat over the frame.
    std::vector<float> frameProbability(const ConditionSlice& slice, int label, const OccupancyFrame& frame);

    LoadedSam3d model_;
    ConditionRules rules_;
    FlowSampling sampling_;
};

/// Reconstructs from files; see NetworkModule.
ReconstructOutcome reconstructFile(const ReconstructRequest& request);
ReconstructOutcome reconstructCases(const ReconstructCasesRequest& request);

}  // namespace medseg
