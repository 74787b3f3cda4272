// Sine position codes and rotary tables of SAM 2.
#pragma once

#include <cstdint>

#include <torch/torch.h>

namespace medseg {

/// Fixed 2D code (1, channels, height, width): the first half of the channels encodes y, the second x, each as sines
/// and cosines in turns of positions 1..n scaled to (0, 2 pi]. `channels` is a multiple of 4.
torch::Tensor sinePositions2d(std::int64_t channels, std::int64_t height, std::int64_t width,
                              const torch::TensorOptions& options);

/// Code of the numbers `positions` (n): (n, channels), first all sines, then all cosines.
torch::Tensor sinePositions1d(const torch::Tensor& positions, std::int64_t channels);

/// Rotation angles of a square grid of tokens, row by row: cosines and sines, each (side * side, headWidth / 2); the
/// first half of the pairs turns with x, the second with y (Su et al. 2021; two axes as in Heo et al. 2024).
struct RotaryTable {
    torch::Tensor cosines;
    torch::Tensor sines;
};
RotaryTable rotaryTable(std::int64_t headWidth, std::int64_t side, double theta, const torch::TensorOptions& options);

/// Rotates neighbouring channel pairs of x (batch, heads, tokens, headWidth). Tokens beyond the last full repetition
/// of the table stay as they are: `rotated` tokens (a multiple of the table's) are turned.
torch::Tensor rotate(const torch::Tensor& x, const RotaryTable& table, std::int64_t rotated);

}  // namespace medseg
