// Samples of SAM 3D's training as tensors: the condition's images, the target in the frame.
#pragma once

#include <memory>
#include <vector>

#include <torch/torch.h>

#include "medseg/dataset/sam3d_dataset.h"
#include "medseg/dataset/sam3d_frame.h"
#include "medseg/dataset/split.h"
#include "medseg/nn/sam3d/condition_images.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

/// How a slice becomes a condition: the same in training and prediction.
struct ConditionRules {
    std::array<double, 2> window{-200, 300};  ///< intensities mapped to [0, 1]
    std::array<int, 2> cropSize{0, 0};
    std::int64_t targetSize = 518;
    bool framePoints = false;

    static ConditionRules from(const Recipe& recipe, std::int64_t targetSize);
};

/// Condition images of one object on a slice. `affine` leads from index (i, j, k) to mm. Pixels of the pointmap that
/// are not finite count as having no point. Throws DataError, naming `source`, for empty masks and what
/// prepareCondition() refuses.
ConditionImages conditionImages(const Sam3dSlice& slice, int label, const Affine& affine, const OccupancyFrame& frame,
                                const ConditionRules& rules, const std::string& source);

/// The frame of an object on a slice as the recipe says.
OccupancyFrame frameFor(const Recipe& recipe, const Sam3dSlice& slice, int label, const Index3& size,
                        std::int64_t grid);

/// What is to be reconstructed.
struct FrameTarget {
    torch::Tensor occupancy;  ///< float 0/1 (1, grid, grid, grid): surface or solid
    torch::Tensor distance;   ///< float (1, grid, grid, grid), frame voxels
};
FrameTarget frameTarget(const Volume<float>& distance, const OccupancyFrame& frame, bool surface);

/// Grid voxels as a tensor (grid, grid, grid) of floats, and back.
torch::Tensor gridTensor(const std::vector<std::uint8_t>& voxels, std::int64_t grid);
std::vector<std::uint8_t> gridVoxels(const torch::Tensor& occupied);

/// Streams of several samples along a new first axis.
ConditionImages stacked(const std::vector<ConditionImages>& images);

/// The prepared folder of a recipe with its split by case.
struct ReconstructionData {
    std::unique_ptr<Sam3dDataset> dataset;
    CaseSplit split;
    std::vector<Sam3dObject> training, validation, test;

    int classes() const { return dataset->settings().classes; }
    /// Throws what Sam3dDataset and splitCases throw, and DataError when nothing is left to train on.
    static ReconstructionData open(const Recipe& recipe, const std::filesystem::path& folder);
};

/// `count` of `objects`, evenly spread; all of them when there are fewer or `count` is 0.
std::vector<Sam3dObject> spread(const std::vector<Sam3dObject>& objects, std::size_t count);

}  // namespace medseg
