// SAM 3D's embedder of pointmaps: one 3D point a pixel to one token a window.
#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/vision_blocks.h"

namespace medseg {

struct PointmapShape {
    std::int64_t inputSize = 256;  ///< pixels along a side to which pointmaps are resized
    std::int64_t patchSize = 8;    ///< pixels along a side of a window
    std::int64_t width = 512;
    std::int64_t heads = 16;
    std::int64_t blocks = 1;
    double mlpRatio = 2;
    double epsilon = 1e-6;
    std::string remap = "linear";  ///< linear: as they are; exp: x / (1 + z), y / (1 + z), log(1 + z)
};

class PointmapEmbedderImpl : public torch::nn::Module {
  public:
    /// Throws UsageError on an unknown remap or a size that is no multiple of the window.
    explicit PointmapEmbedderImpl(const PointmapShape& shape);

    const PointmapShape& shape() const { return shape_; }

    /// pointmap: (batch, 3, H, W), any non-finite component makes a pixel invalid. To (batch, windows, width).
    torch::Tensor forward(const torch::Tensor& pointmap);
    /// Embedding of every pixel (batch, inputSize, inputSize, width); invalid ones are the invalid token.
    torch::Tensor points(const torch::Tensor& pointmap);

  private:
    torch::Tensor remapped(const torch::Tensor& xyz) const;

    PointmapShape shape_;
    Linear projection_{nullptr};
    torch::Tensor invalidToken_, clsToken_, windowPositions_, positions_;
    std::vector<VisionBlock> blocks_;
};
TORCH_MODULE(PointmapEmbedder);

}  // namespace medseg
