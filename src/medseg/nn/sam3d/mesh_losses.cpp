#include "medseg/nn/sam3d/mesh_losses.h"

namespace medseg {
namespace {

constexpr double kMaskEpsilon = 1e-8;

}  // namespace

torch::Tensor signedDistanceLoss(const torch::Tensor& predicted, const torch::Tensor& reference,
                                 const torch::Tensor& mask) {
    const auto error = (predicted - reference).abs();
    if (!mask.defined()) return error.mean();
    return (error * mask).sum() / (mask.sum() + kMaskEpsilon);
}

torch::Tensor signedDistanceSquare(const torch::Tensor& predicted, const torch::Tensor& reference) {
    return torch::mse_loss(predicted, reference);
}

torch::Tensor edgeLengthVariance(const torch::Tensor& vertices, const torch::Tensor& faces) {
    const auto corner = [&](std::int64_t i) { return vertices.index_select(0, faces.select(1, i)); };
    const auto a = corner(0), b = corner(1), c = corner(2);
    const auto length = [](const torch::Tensor& from, const torch::Tensor& to) { return (to - from).norm(2, 1); };
    return torch::cat({length(a, b), length(b, c), length(c, a)}).var();
}

}  // namespace medseg
