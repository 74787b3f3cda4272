// DINOv2 with registers (Oquab et al. 2023, Darcet et al. 2023) as SAM 3D uses it: on images and, one channel repeated,
// on masks. Parameters carry the official names below "backbone.".
#pragma once

#include <array>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/vision_blocks.h"

namespace medseg {

struct DinoShape {
    std::int64_t nativeSize = 518;  ///< pixels along a side for which the position table is stored
    std::int64_t inputSize = 518;   ///< pixels along a side to which inputs are resized
    std::int64_t patchSize = 14;
    std::int64_t width = 1024;
    std::int64_t depth = 24;
    std::int64_t heads = 16;
    double mlpRatio = 4;
    std::int64_t registers = 4;
    bool layerScale = true;
    double epsilon = 1e-6;
    std::array<double, 3> mean{0.485, 0.456, 0.406};
    std::array<double, 3> deviation{0.229, 0.224, 0.225};
};

class DinoImpl : public torch::nn::Module {
  public:
    /// Throws UsageError when a size is no multiple of the patch.
    explicit DinoImpl(const DinoShape& shape);

    const DinoShape& shape() const { return shape_; }

    /// image: (batch, 1 or 3, H, W) in [0, 1] to pixels (batch, 3, inputSize, inputSize): bilinear without antialias,
    /// then normalised.
    torch::Tensor pixels(const torch::Tensor& image) const;
    /// cls and patch tokens after the final norm, registers dropped: what the structure stage uses.
    torch::Tensor forward(const torch::Tensor& image);
    /// cls, registers and patches before the final norm.
    torch::Tensor beforeNorm(const torch::Tensor& image);
    /// The same through a layer norm without parameters (eps 1e-5): what the latent stage uses.
    torch::Tensor plainTokens(const torch::Tensor& image);
    /// Position table (1, 1 + patches, width) for inputSize: resized (bicubic, antialiased) unless it is the native
    /// one.
    torch::Tensor positions() const;

  private:
    DinoShape shape_;
    torch::nn::Conv2d patches_{nullptr};
    torch::Tensor clsToken_, positionTable_, registerTokens_, maskToken_;
    std::vector<VisionBlock> blocks_;
    TokenNorm norm_{nullptr};
};
TORCH_MODULE(Dino);

}  // namespace medseg
