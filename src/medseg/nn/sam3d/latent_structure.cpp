#include "medseg/nn/sam3d/latent_structure.h"

#include <cmath>

namespace medseg {
namespace {

constexpr double kSmoothing = 1.0;  // voxels
constexpr std::int64_t kReach = 3;  // voxels to either side of a corner

torch::Tensor batched(const torch::Tensor& solid) {
    return solid.gt(0.5).to(torch::kFloat).unsqueeze(0).unsqueeze(0);
}

/// The largest value among each voxel and its neighbours in the grid.
torch::Tensor largestNear(const torch::Tensor& grid) {
    return torch::max_pool3d(grid, 3, 1, 1)[0][0];
}

}  // namespace

torch::Tensor bandVoxels(const torch::Tensor& solid) {
    const auto inside = batched(solid);
    return (largestNear(inside).gt(0.5) & largestNear(1 - inside).gt(0.5)).nonzero();
}

torch::Tensor shellVoxels(const torch::Tensor& solid) {
    const auto inside = batched(solid);
    return (inside[0][0].gt(0.5) & largestNear(1 - inside).gt(0.5)).nonzero();
}

torch::Tensor cornerOccupancy(const torch::Tensor& solid, const torch::Tensor& voxels) {
    // A corner lies half a voxel off the voxels' centres.
    const auto offset = torch::arange(2 * kReach, torch::kFloat) - (static_cast<double>(kReach) - 0.5);
    auto kernel = torch::exp(-offset.square() / (2 * kSmoothing * kSmoothing));
    kernel = kernel / kernel.sum();
    auto smooth = torch::replication_pad3d(batched(solid), {kReach, kReach, kReach, kReach, kReach, kReach});
    smooth = torch::conv3d(smooth, kernel.reshape({1, 1, -1, 1, 1}));
    smooth = torch::conv3d(smooth, kernel.reshape({1, 1, 1, -1, 1}));
    smooth = torch::conv3d(smooth, kernel.reshape({1, 1, 1, 1, -1}))[0][0];
    const std::int64_t side = smooth.size(0);
    std::vector<torch::Tensor> corners;
    for (std::int64_t c = 0; c < 8; ++c) {
        const auto place = voxels + torch::tensor({c % 2, c / 2 % 2, c / 4}, torch::kLong);
        const auto rows = (place.select(1, 0) * side + place.select(1, 1)) * side + place.select(1, 2);
        corners.push_back(smooth.flatten().index_select(0, rows));
    }
    return 4 * torch::stack(corners, 1) - 2;
}

}  // namespace medseg
