// Positions as sines and cosines of random frequencies (Tancik et al. 2020, Fourier features), as in SAM and SAM 2.
#pragma once

#include <cstdint>

#include <torch/torch.h>

namespace medseg {

/// Buffer: positional_encoding_gaussian_matrix (2, channels / 2), frequencies of x (row 0) and y (row 1).
class RandomPositionEncodingImpl : public torch::nn::Module {
  public:
    /// `channels`: length of a code, even. `scale`: standard deviation of the random frequencies.
    explicit RandomPositionEncodingImpl(std::int64_t channels, double scale = 1.0);

    /// Codes of points. xy: (..., 2), both as shares of width and height, 0..1. The result is (..., channels): sines,
    /// then cosines.
    torch::Tensor encode(const torch::Tensor& xy) const;

    /// Codes of points in pixels of an image (centre of the first pixel at 0): xy (..., 2).
    torch::Tensor encodePixels(const torch::Tensor& xy, std::int64_t imageHeight, std::int64_t imageWidth) const;

    /// Codes of the cell centres of a grid: (1, channels, height, width).
    torch::Tensor grid(std::int64_t height, std::int64_t width) const;

    torch::Tensor frequencies;
};
TORCH_MODULE(RandomPositionEncoding);

}  // namespace medseg
