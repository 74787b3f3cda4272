// From an image, the mask of an object and a pointmap to the six inputs of the condition embedder: normalised points,
// a square crop around the object, and the whole image padded to a square.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <torch/torch.h>

namespace medseg {

inline constexpr std::size_t kConditionStreams = 6;

/// In token order: image, rgb_image, mask, rgb_image_mask, pointmap, rgb_pointmap; the first of each pair is the crop,
/// the second the whole image. (channels, S, S) or with a leading batch axis; images and masks in [0, 1].
struct ConditionImages {
    std::array<torch::Tensor, kConditionStreams> streams;

    torch::Tensor& image() { return streams[0]; }
    torch::Tensor& rgbImage() { return streams[1]; }
    torch::Tensor& mask() { return streams[2]; }
    torch::Tensor& rgbImageMask() { return streams[3]; }
    torch::Tensor& pointmap() { return streams[4]; }
    torch::Tensor& rgbPointmap() { return streams[5]; }
};

struct ConditionPreprocessing {
    std::int64_t targetSize = 518;
    double boxFactor = 1.2;       ///< side of the crop over the longer side of the mask's box
    bool normalizePoints = true;  ///< shift and scale as below; else points are taken as they are
};

/// Shift and scale of a pointmap, (3) each, the three scales equal.
struct PointNormalization {
    torch::Tensor shift;  ///< per axis the lower median of the finite points inside the mask
    torch::Tensor scale;  ///< median over finite points of the largest absolute shifted coordinate
};

/// pointmap: (3, H, W); mask: (1, H', W') with values above 0.5 inside, brought to the pointmap's size by nearest
/// neighbours. Throws DataError when no finite point lies inside the mask or all points coincide.
PointNormalization normalizationOf(const torch::Tensor& pointmap, const torch::Tensor& mask);

struct CropRectangle {
    std::int64_t left = 0, top = 0, right = 0, bottom = 0;  ///< right and bottom exclusive; may lie outside the image
};

/// The square around the mask's box. mask: (1, H, W). Throws DataError when the mask is empty.
CropRectangle squareAround(const torch::Tensor& mask, double boxFactor);

struct PreparedCondition {
    ConditionImages images;
    PointNormalization normalization;  ///< undefined tensors unless points were normalised
};

/// image: (3, H, W) in [0, 1]; mask: (1, H, W); pointmap: (3, h, w), NaN where there is no point. Beyond the border
/// images, masks and points are 0; images are resized bilinearly with antialias, masks and points by nearest
/// neighbours, after points of another resolution have been brought to the image's for the crop (linearly). Throws
/// DataError on shapes that do not fit and on what normalizationOf() and squareAround() refuse.
PreparedCondition prepareCondition(const torch::Tensor& image, const torch::Tensor& mask, const torch::Tensor& pointmap,
                                   const ConditionPreprocessing& settings);

}  // namespace medseg
