#include "medseg/nn/sam3d/condition_images.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

torch::Tensor resizedNearest(const torch::Tensor& x, std::int64_t height, std::int64_t width) {
    return torch::upsample_nearest2d(x.unsqueeze(0), std::vector<std::int64_t>{height, width})[0];
}

torch::Tensor resizedSmoothly(const torch::Tensor& x, std::int64_t size) {
    return at::_upsample_bilinear2d_aa(x.unsqueeze(0), std::vector<std::int64_t>{size, size}, false)[0];
}

/// Points at another resolution: linear, with 0 in place of what is not finite; a pixel is invalid where the nearest
/// one was.
torch::Tensor resizedPoints(const torch::Tensor& points, std::int64_t height, std::int64_t width) {
    if (points.size(1) == height && points.size(2) == width) return points;
    const std::vector<std::int64_t> size{height, width};
    const auto valid = points.isfinite().all(0, true);
    const auto filled = torch::where(valid, points, torch::zeros_like(points));
    const auto resized = torch::upsample_bilinear2d(filled.unsqueeze(0), size, false)[0];
    return resized.masked_fill(resizedNearest(valid.to(torch::kFloat), height, width) < 0.5,
                               std::numeric_limits<float>::quiet_NaN());
}

/// The box cut out, zeros where it leaves the image.
torch::Tensor cropped(const torch::Tensor& x, const CropRectangle& box) {
    const std::int64_t height = x.size(1), width = x.size(2);
    const std::int64_t left = std::clamp<std::int64_t>(box.left, 0, width),
                       top = std::clamp<std::int64_t>(box.top, 0, height);
    const std::int64_t right = std::clamp<std::int64_t>(box.right, left, width);
    const std::int64_t bottom = std::clamp<std::int64_t>(box.bottom, top, height);
    const auto inside = x.narrow(1, top, bottom - top).narrow(2, left, right - left);
    return torch::constant_pad_nd(inside, {left - box.left, box.right - right, top - box.top, box.bottom - bottom});
}

/// The whole image in the middle of a square.
CropRectangle squareOf(std::int64_t height, std::int64_t width) {
    const std::int64_t side = std::max(height, width);
    const std::int64_t top = (side - height) / 2, left = (side - width) / 2;
    return {-left, -top, side - left, side - top};
}

void requireImage(const torch::Tensor& x, std::int64_t channels, const char* what) {
    if (x.dim() != 3 || x.size(0) != channels || x.numel() == 0)
        throw DataError(fmt::format("{} is {} instead of ({}, height, width)", what,
                                    fmt::format("[{}]", fmt::join(x.sizes(), ", ")), channels));
}

}  // namespace

PointNormalization normalizationOf(const torch::Tensor& pointmap, const torch::Tensor& mask) {
    const auto inside = resizedNearest(mask, pointmap.size(1), pointmap.size(2))[0] > 0.5;
    const auto finite = pointmap.isfinite().all(0);
    const auto chosen = inside & finite;
    if (!chosen.any().item<bool>())
        throw DataError("the pointmap has no finite point inside the mask: a 3D position is needed");
    const auto shift = std::get<0>(pointmap.flatten(1).index({torch::indexing::Slice(), chosen.flatten()}).median(1));
    const auto centred = (pointmap - shift.reshape({3, 1, 1})).abs().amax(0).index({finite});
    const auto scale = centred.median();
    if (!(scale.item<double>() > 0)) throw DataError("all points of the pointmap coincide: its scale is 0");
    return {shift, scale.expand({3}).contiguous()};
}

CropRectangle squareAround(const torch::Tensor& mask, double boxFactor) {
    const auto pixels = torch::nonzero(mask[0] > 0.5);
    if (pixels.size(0) == 0) throw DataError("the mask is empty: there is no object to reconstruct");
    const auto low = std::get<0>(pixels.min(0)), high = std::get<0>(pixels.max(0));
    const std::int64_t top = low[0].item<std::int64_t>(), left = low[1].item<std::int64_t>();
    const std::int64_t bottom = high[0].item<std::int64_t>(), right = high[1].item<std::int64_t>();
    const auto longer = static_cast<double>(std::max(right - left, bottom - top));
    // At least one pixel on each side of the centre, so that a mask of one pixel still has a crop.
    const std::int64_t half = std::max<std::int64_t>(1, static_cast<std::int64_t>(longer * boxFactor) / 2);
    const std::int64_t x = (left + right) / 2, y = (top + bottom) / 2;
    return {x - half, y - half, x + half, y + half};
}

PreparedCondition prepareCondition(const torch::Tensor& image, const torch::Tensor& mask, const torch::Tensor& pointmap,
                                   const ConditionPreprocessing& settings) {
    requireImage(image, 3, "the image");
    requireImage(mask, 1, "the mask");
    requireImage(pointmap, 3, "the pointmap");
    const std::int64_t height = image.size(1), width = image.size(2), size = settings.targetSize;
    if (mask.size(1) != height || mask.size(2) != width)
        throw DataError(
            fmt::format("the mask has {}x{} pixels, the image {}x{}", mask.size(2), mask.size(1), width, height));
    PreparedCondition prepared;
    const CropRectangle crop = squareAround(mask, settings.boxFactor), whole = squareOf(height, width);
    torch::Tensor points = pointmap;
    if (settings.normalizePoints) {
        prepared.normalization = normalizationOf(pointmap, mask);
        points = (points - prepared.normalization.shift.reshape({3, 1, 1})) /
                 prepared.normalization.scale.reshape({3, 1, 1});
    }
    ConditionImages& images = prepared.images;
    const auto nearest = [&](const torch::Tensor& x, const CropRectangle& box) {
        return resizedNearest(cropped(x, box), size, size);
    };
    images.image() = resizedSmoothly(cropped(image, crop), size);
    images.rgbImage() = resizedSmoothly(cropped(image, whole), size);
    images.mask() = nearest(mask, crop);
    images.rgbImageMask() = nearest(mask, whole);
    images.pointmap() = nearest(resizedPoints(points, height, width), crop);
    images.rgbPointmap() = nearest(points, squareOf(points.size(1), points.size(2)));
    return prepared;
}

}  // namespace medseg
