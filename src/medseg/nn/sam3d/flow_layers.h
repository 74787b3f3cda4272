// Building blocks of SAM 3D's flow transformers: embeddings of time and place, attention with per-head norms of queries
// and keys. Parameters carry the official names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/linear.h"

namespace medseg {

/// Sines and cosines of positions: for each axis floor(width / (2 axes)) frequencies 10000^(-i/n), sines first, axes
/// one after another, zeros up to `width`. coordinates: (n, axes); the result is (n, width).
torch::Tensor sinusoidalPositions(const torch::Tensor& coordinates, std::int64_t width);

/// Positions of a cube of `resolution` voxels a side, z fastest: (resolution^3, width).
torch::Tensor cubePositions(std::int64_t resolution, std::int64_t width);

/// Time (or step size), already scaled to 0..1000, to a vector: 256 features (cosines first), linear, SiLU, linear.
class TimeEmbedderImpl : public torch::nn::Module {
  public:
    TimeEmbedderImpl(std::int64_t width, std::int64_t frequencies);
    /// t: (batch) to (batch, width).
    torch::Tensor forward(const torch::Tensor& t);

  private:
    std::int64_t frequencies_;
    Linear first_{nullptr}, second_{nullptr};
};
TORCH_MODULE(TimeEmbedder);

/// Unit length over the last axis times gamma (heads, dim) times sqrt(dim). x: (batch, n, heads, dim).
class HeadNormImpl : public torch::nn::Module {
  public:
    HeadNormImpl(std::int64_t heads, std::int64_t dimension);
    torch::Tensor forward(const torch::Tensor& x);

  private:
    torch::Tensor gamma_;
};
TORCH_MODULE(HeadNorm);

/// Layer norm over the last axis; without affine parameters when `affine` is false.
class TokenNormImpl : public torch::nn::Module {
  public:
    TokenNormImpl(std::int64_t width, double epsilon, bool affine);
    torch::Tensor forward(const torch::Tensor& x);

  private:
    std::int64_t width_;
    double epsilon_;
    torch::Tensor weight_, bias_;
};
TORCH_MODULE(TokenNorm);

/// Keys and values of a condition, (batch, heads, tokens, dim) each.
struct KeysValues {
    torch::Tensor keys;
    torch::Tensor values;
};

/// Attention of tokens to condition tokens.
class FlowCrossAttentionImpl : public torch::nn::Module {
  public:
    FlowCrossAttentionImpl(std::int64_t width, std::int64_t contextWidth, std::int64_t heads);
    /// context: (batch, tokens, context width). The same for every sampling step, so worth keeping.
    KeysValues prepare(const torch::Tensor& context);
    torch::Tensor forward(const torch::Tensor& x, const KeysValues& context);

  private:
    std::int64_t heads_;
    Linear toQ_{nullptr}, toKv_{nullptr}, toOut_{nullptr};
};
TORCH_MODULE(FlowCrossAttention);

/// linear to width * ratio, tanh GELU, linear back; names mlp.0 and mlp.2.
class FlowMlpImpl : public torch::nn::Module {
  public:
    FlowMlpImpl(std::int64_t width, std::int64_t ratio);
    torch::Tensor forward(const torch::Tensor& x);

  private:
    Linear first_{nullptr}, second_{nullptr};
};
TORCH_MODULE(FlowMlp);

/// (batch, n, heads * dim) to (batch, n, heads, dim) and, after attention, (batch, heads, n, dim) back to tokens.
torch::Tensor splitHeads(const torch::Tensor& x, std::int64_t heads);
torch::Tensor joinHeads(const torch::Tensor& x);

}  // namespace medseg
