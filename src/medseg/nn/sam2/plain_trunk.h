// The plain vision transformer that encodes images for EfficientTAM (Xiong et al. 2024): one resolution, windowed
// attention in most blocks.
#pragma once

#include "medseg/nn/sam2/hiera.h"

namespace medseg {

class PlainTrunkImpl : public Sam2TrunkImpl {
  public:
    explicit PlainTrunkImpl(const Sam2TrunkSettings& settings);

    /// One map (batch, channels, h / patch, w / patch).
    std::vector<torch::Tensor> forward(const torch::Tensor& images, const TrunkObserver& observer) override;

  private:
    std::int64_t pretrainedGrid_;
    torch::Tensor positions_;  ///< class token first
    Sam2PatchEmbedding patchEmbedding_{nullptr};
    torch::nn::ModuleList blocks_{nullptr};
};

}  // namespace medseg
