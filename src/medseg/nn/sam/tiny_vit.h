// TinyViT (Wu et al. 2022): the image encoder of MobileSAM and LiteMedSAM. Convolutions first, then attention in
// windows with learned offsets, each block with a depthwise convolution.
#pragma once

#include <array>
#include <cstdint>

#include "medseg/nn/sam/image_encoder.h"

namespace medseg {

struct TinyVitShape {
    std::int64_t imageSize = 1024;
    bool stridedPatches = true;  ///< true: two 3x3 convolutions of stride 2 (MobileSAM); false: two 1x1 (LiteMedSAM)
    std::array<std::int64_t, 4> widths{64, 128, 160, 320};
    std::array<std::int64_t, 4> depths{2, 2, 6, 2};
    std::array<std::int64_t, 4> heads{2, 4, 5, 10};  ///< the first stage has no attention
    std::array<std::int64_t, 4> windows{7, 7, 14, 7};
    std::int64_t expansion = 4;  ///< of the convolution blocks
    std::int64_t mlpRatio = 4;
    std::int64_t outChannels = 256;
    std::int64_t classes = 0;  ///< MobileSAM's file has an unused classifier of 1000; 0 = none

    /// Cells of the embedding along both axes: the last of the three transitions keeps the size.
    std::int64_t grid() const { return imageSize / (stridedPatches ? 16 : 4); }
};

class TinyVitEncoderImpl : public SamImageEncoder {
  public:
    explicit TinyVitEncoderImpl(const TinyVitShape& shape);

    torch::Tensor forward(const torch::Tensor& image) override;

  private:
    torch::nn::Sequential patches_{nullptr};
    torch::nn::ModuleList layers_{nullptr};
    torch::nn::Sequential neck_{nullptr};
};
TORCH_MODULE(TinyVitEncoder);

}  // namespace medseg
