// The image encoder of SAM 2: trunk and neck.
#pragma once

#include <memory>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam/layer_norm_2d.h"
#include "medseg/nn/sam2/hiera.h"

namespace medseg {

/// Neck output, finest level first.
struct NeckFeatures {
    std::vector<torch::Tensor> maps;       ///< (batch, width, h, w)
    std::vector<torch::Tensor> positions;  ///< (1, width, h, w): sine codes
};

/// Brings trunk outputs (finest first) to one width.
class Sam2NeckImpl : public torch::nn::Module {
  public:
    virtual NeckFeatures forward(const std::vector<torch::Tensor>& maps) = 0;
};

/// Feature pyramid: a 1 x 1 convolution a level, coarser levels added to some of the finer ones.
class PyramidNeckImpl : public Sam2NeckImpl {
  public:
    explicit PyramidNeckImpl(const Sam2Settings& settings);
    NeckFeatures forward(const std::vector<torch::Tensor>& maps) override;

  private:
    std::int64_t width_;
    std::vector<std::int64_t> topDownLevels_;
    torch::nn::ModuleList convs_{nullptr};  ///< coarsest level first, as in the official files
};

/// EfficientTAM: 1 x 1 and 3 x 3 convolution, each with a layer norm.
class PlainNeckImpl : public Sam2NeckImpl {
  public:
    explicit PlainNeckImpl(const Sam2Settings& settings);
    NeckFeatures forward(const std::vector<torch::Tensor>& maps) override;

  private:
    std::int64_t width_;
    torch::nn::Conv2d narrow_{nullptr};
    LayerNorm2d norm0_{nullptr};
    torch::nn::Conv2d wide_{nullptr};
    LayerNorm2d norm1_{nullptr};
};

/// Parameters: trunk.*, neck.*.
class Sam2ImageEncoderImpl : public torch::nn::Module {
  public:
    explicit Sam2ImageEncoderImpl(const Sam2Settings& settings);

    /// All levels of the neck, those that nothing uses included. images: (batch, 3, side, side), normalised.
    NeckFeatures allLevels(const torch::Tensor& images, const TrunkObserver& observer = {});
    /// The levels that are used.
    NeckFeatures forward(const torch::Tensor& images);

    Sam2TrunkImpl& trunk() { return *trunk_; }

  private:
    std::int64_t droppedLevels_;
    std::shared_ptr<Sam2TrunkImpl> trunk_;
    std::shared_ptr<Sam2NeckImpl> neck_;
};
TORCH_MODULE(Sam2ImageEncoder);

}  // namespace medseg
