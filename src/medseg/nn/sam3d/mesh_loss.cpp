#include "medseg/nn/sam3d/mesh_loss.h"

namespace medseg {
namespace {

constexpr std::int64_t kRowsAtATime = 1024;
constexpr double kOccupancySharpness = 4;  // of the logit, per voxel of distance

torch::Tensor nearest(const torch::Tensor& from, const torch::Tensor& to) {
    torch::NoGradGuard noGradient;
    std::vector<torch::Tensor> indices;
    for (const auto& part : from.detach().split(kRowsAtATime)) indices.push_back(torch::cdist(part, to).argmin(1));
    return torch::cat(indices);
}

torch::Tensor drawn(const torch::Tensor& points, std::int64_t count) {
    if (points.size(0) <= count) return points;
    return points.index_select(0, torch::randint(points.size(0), {count}, torch::kLong).to(points.device()));
}

/// |predicted - reference|; beyond the limit only what falls short of it counts.
torch::Tensor clampedDifference(const torch::Tensor& predicted, const torch::Tensor& reference, double limit) {
    const auto outside = torch::relu(limit - predicted), inside = torch::relu(predicted + limit);
    return torch::where(reference.ge(limit), outside,
                        torch::where(reference.le(-limit), inside, (predicted - reference).abs()));
}

}  // namespace

torch::Tensor chamferDistance(const torch::Tensor& a, const torch::Tensor& b) {
    if (a.size(0) == 0 || b.size(0) == 0) return torch::zeros({}, a.options().requires_grad(false));
    const auto oneWay = [](const torch::Tensor& from, const torch::Tensor& to) {
        return (from - to.index_select(0, nearest(from, to.detach()))).square().sum(1).mean();
    };
    return oneWay(a, b) + oneWay(b, a);
}

MeshLoss meshLoss(const DecodedMesh& mesh, const MeshTarget& target, const MeshLossSettings& settings) {
    const auto voxels = static_cast<double>(settings.grid);
    MeshLoss loss;
    const auto reference = target.distance(mesh.supportPoints.detach()) * voxels;
    const auto predicted = mesh.supportDistance * voxels;
    const auto distance = clampedDifference(predicted, reference, settings.limit).mean();
    loss.total = settings.distance * distance + settings.regulariser * mesh.regulariser;
    loss.distance = distance.item<double>();
    loss.regulariser = mesh.regulariser.item<double>();
    if (settings.chamfer > 0) {
        const auto chamfer = chamferDistance(drawn(mesh.vertices, settings.chamferPoints) * voxels,
                                             drawn(target.surface, settings.chamferPoints) * voxels);
        loss.total = loss.total + settings.chamfer * chamfer;
        loss.chamfer = chamfer.item<double>();
    }
    if (settings.occupancy > 0) {
        const auto occupancy = torch::binary_cross_entropy_with_logits(
            -kOccupancySharpness * predicted, reference.lt(0).to(predicted.options().requires_grad(false)));
        loss.total = loss.total + settings.occupancy * occupancy;
        loss.occupancy = occupancy.item<double>();
    }
    return loss;
}

}  // namespace medseg
