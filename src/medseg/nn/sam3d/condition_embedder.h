// SAM 3D's condition: tokens of image, mask and pointmap, cropped around the object and in full. Parameters carry the
// names below "_base_models.condition_embedder." in ss_generator.ckpt and slat_generator.ckpt.
#pragma once

#include <array>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/condition_images.h"
#include "medseg/nn/sam3d/dino.h"
#include "medseg/nn/sam3d/pointmap_embedder.h"

namespace medseg {

struct ConditionShape {
    DinoShape dino;  ///< of images and, with weights of its own, of masks
    PointmapShape pointmap;
    std::int64_t width = 1024;   ///< of the tokens that leave
    double projectionRatio = 4;  ///< hidden = ceil(2/3 ratio width / multiple) multiple
    std::int64_t hiddenMultiple = 256;
    double normEpsilon = 1e-5;
    /// The latent stage's embedder: tokens of images and masks before the last norm, registers included; no pointmaps.
    bool latentStage = false;

    std::int64_t hiddenWidth() const;
};

/// A projection: LayerNorm and SwiGLU without bias, w2(silu(w1 x) * w3 x). Names 0 and 1.w1, 1.w2, 1.w3.
class ConditionProjectionImpl : public torch::nn::Module {
  public:
    ConditionProjectionImpl(std::int64_t in, std::int64_t hidden, std::int64_t out, double epsilon);
    torch::Tensor forward(const torch::Tensor& x);

  private:
    TokenNorm norm_{nullptr};
    Linear gate_{nullptr}, value_{nullptr}, out_{nullptr};
};
TORCH_MODULE(ConditionProjection);

/// What leaves the frozen embedders: tokens of the streams, before projection; undefined for streams that are not used.
using ConditionFeatures = std::array<torch::Tensor, kConditionStreams>;

class ConditionEmbedderImpl : public torch::nn::Module {
  public:
    explicit ConditionEmbedderImpl(const ConditionShape& shape);

    const ConditionShape& shape() const { return shape_; }

    /// Condition tokens (batch, n, width): streams in the order of ConditionImages, one after another. Streams of
    /// pointmaps are multiplied by 0 when `withPointmap` is false.
    torch::Tensor forward(const ConditionImages& images, bool withPointmap = true);
    ConditionFeatures features(const ConditionImages& images);
    torch::Tensor fuse(const ConditionFeatures& features, bool withPointmap = true);
    /// Number of condition tokens.
    std::int64_t tokenCount() const;

    Dino& imageEmbedder() { return image_; }
    Dino& maskEmbedder() { return mask_; }
    PointmapEmbedder& pointmapEmbedder() { return pointmap_; }

  private:
    ConditionShape shape_;
    Dino image_{nullptr}, mask_{nullptr};
    PointmapEmbedder pointmap_{nullptr};
    std::vector<ConditionProjection> projections_;
    torch::Tensor groupTable_;
};
TORCH_MODULE(ConditionEmbedder);

}  // namespace medseg
