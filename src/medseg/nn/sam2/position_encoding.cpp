#include "medseg/nn/sam2/position_encoding.h"

#include <numbers>

namespace medseg {
namespace {

constexpr double kTemperature = 10000.0;

/// temperature^(2 floor(i / 2) / count) for i in 0..count-1.
torch::Tensor wavelengths(std::int64_t count, const torch::TensorOptions& options) {
    const torch::Tensor index = torch::arange(count, options);
    return torch::pow(kTemperature, 2 * torch::floor(index / 2) / static_cast<double>(count));
}

/// (n) positions 1..n scaled to (0, 2 pi], as (n, count) codes with sines and cosines in turns.
torch::Tensor interleavedCode(std::int64_t n, std::int64_t count, const torch::TensorOptions& options) {
    constexpr double kEpsilon = 1e-6;
    torch::Tensor position = torch::arange(1, n + 1, options);
    position = position / (position[n - 1] + kEpsilon) * (2 * std::numbers::pi);
    const torch::Tensor angle = position.unsqueeze(1) / wavelengths(count, options);
    using torch::indexing::None;
    using torch::indexing::Slice;
    return torch::stack(
               {angle.index({Slice(), Slice(0, None, 2)}).sin(), angle.index({Slice(), Slice(1, None, 2)}).cos()}, 2)
        .flatten(1);
}

}  // namespace

torch::Tensor sinePositions2d(std::int64_t channels, std::int64_t height, std::int64_t width,
                              const torch::TensorOptions& options) {
    const std::int64_t half = channels / 2;
    const torch::Tensor y = interleavedCode(height, half, options).unsqueeze(1).expand({height, width, half});
    const torch::Tensor x = interleavedCode(width, half, options).unsqueeze(0).expand({height, width, half});
    return torch::cat({y, x}, 2).permute({2, 0, 1}).unsqueeze(0).contiguous();
}

torch::Tensor sinePositions1d(const torch::Tensor& positions, std::int64_t channels) {
    const torch::Tensor angle = positions.unsqueeze(-1) / wavelengths(channels / 2, positions.options());
    return torch::cat({angle.sin(), angle.cos()}, -1);
}

RotaryTable rotaryTable(std::int64_t headWidth, std::int64_t side, double theta, const torch::TensorOptions& options) {
    const std::int64_t quarter = headWidth / 4;
    const torch::Tensor exponent = torch::arange(quarter, options) * 4 / static_cast<double>(headWidth);
    const torch::Tensor frequency = torch::pow(theta, exponent).reciprocal();
    const torch::Tensor index = torch::arange(side * side, options);
    const torch::Tensor x = torch::remainder(index, static_cast<double>(side));
    const torch::Tensor y = torch::floor(index / static_cast<double>(side));
    const torch::Tensor angle = torch::cat({torch::outer(x, frequency), torch::outer(y, frequency)}, 1);
    return {angle.cos(), angle.sin()};
}

torch::Tensor rotate(const torch::Tensor& x, const RotaryTable& table, std::int64_t rotated) {
    if (rotated == 0) return x;
    const std::int64_t repeats = rotated / table.cosines.size(0);
    const torch::Tensor cosines = repeats > 1 ? table.cosines.repeat({repeats, 1}) : table.cosines;
    const torch::Tensor sines = repeats > 1 ? table.sines.repeat({repeats, 1}) : table.sines;
    const torch::Tensor turned = x.slice(2, 0, rotated);
    const torch::Tensor pairs = turned.reshape({x.size(0), x.size(1), rotated, x.size(3) / 2, 2});
    const torch::Tensor even = pairs.select(-1, 0);
    const torch::Tensor odd = pairs.select(-1, 1);
    const torch::Tensor result =
        torch::stack({even * cosines - odd * sines, even * sines + odd * cosines}, -1).flatten(3);
    return rotated == x.size(2) ? result : torch::cat({result, x.slice(2, rotated)}, 2);
}

}  // namespace medseg
