#include "medseg/infer/sam_image.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/imaging/resize_opencv.h"
#include "medseg/imaging/resize_pillow.h"
#include "medseg/imaging/spline.h"
#include "medseg/imaging/zoom.h"

namespace medseg {
namespace {

constexpr std::int64_t kColors = 3;

/// Bytes (height, width, 3).
torch::Tensor asColors(const PngPixels& picture) {
    const torch::Tensor pixels = torch::from_blob(const_cast<std::uint8_t*>(picture.bytes.data()),
                                                  {picture.height, picture.width, picture.channels}, torch::kByte);
    return picture.channels == kColors ? pixels.clone()
                                       : pixels.expand({picture.height, picture.width, kColors}).contiguous();
}

template <typename T>
PixelView<T> viewOf(const torch::Tensor& pixels) {
    return {pixels.data_ptr<std::uint8_t>(), pixels.size(1), pixels.size(0), static_cast<int>(pixels.size(2))};
}

/// skimage.transform.resize(order=3, preserve_range=True, anti_aliasing=True), truncated to bytes.
torch::Tensor squashed(const PngPixels& picture, std::int64_t size) {
    const auto [low, high] = std::minmax_element(picture.bytes.begin(), picture.bytes.end());
    const torch::Tensor out = torch::empty({size, size, kColors}, torch::kByte);
    std::uint8_t* target = out.data_ptr<std::uint8_t>();
    Volume<double> plane(Geometry::axisAligned({picture.width, picture.height, 1}, {1, 1, 1}));
    for (int c = 0; c < picture.channels; ++c) {
        for (std::int64_t i = 0; i < plane.voxelCount(); ++i)
            plane.data()[i] = picture.bytes[static_cast<std::size_t>(i * picture.channels + c)];
        // Clipped below, to the range of all channels together.
        const Volume<double> resized = resizeVolume(plane, {size, size, 1}, {3, Boundary::Mirror, true, false, 0});
        for (std::int64_t i = 0; i < resized.voxelCount(); ++i) {
            const double value = std::clamp(resized.data()[i], static_cast<double>(*low), static_cast<double>(*high));
            target[i * kColors + c] = static_cast<std::uint8_t>(value);
        }
    }
    for (std::int64_t i = 0; picture.channels == 1 && i < size * size; ++i)
        target[i * kColors + 1] = target[i * kColors + 2] = target[i * kColors];
    return out;
}

torch::Tensor bilinear(const torch::Tensor& maps, std::int64_t height, std::int64_t width) {
    return torch::upsample_bilinear2d(maps, {height, width}, false);
}

}  // namespace

SamStyle samStyleFromName(const std::string& name) {
    for (const SamStyle style : {SamStyle::Sam, SamStyle::Medsam, SamStyle::LiteMedsam})
        if (name == samStyleName(style)) return style;
    throw UsageError(fmt::format("style \"{}\" is none of: sam, medsam, litemedsam", name));
}

const char* samStyleName(SamStyle style) {
    switch (style) {
        case SamStyle::Sam:
            return "sam";
        case SamStyle::Medsam:
            return "medsam";
        case SamStyle::LiteMedsam:
            return "litemedsam";
    }
    return "";
}

SamFrame samFrame(SamStyle style, std::int64_t height, std::int64_t width, std::int64_t inputSize) {
    SamFrame frame{style, height, width, inputSize, inputSize, inputSize};
    if (style == SamStyle::Medsam) return frame;
    const double scale = static_cast<double>(inputSize) / static_cast<double>(std::max(height, width));
    const auto scaled = [&](std::int64_t side) {
        return std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(side) * scale + 0.5));
    };
    frame.scaledHeight = scaled(height);
    frame.scaledWidth = scaled(width);
    return frame;
}

torch::Tensor scaledBytes(const PngPixels& picture, const SamFrame& frame) {
    if (frame.style == SamStyle::Medsam) return squashed(picture, frame.inputSize);
    const torch::Tensor source = asColors(picture);
    torch::Tensor target = torch::empty({frame.scaledHeight, frame.scaledWidth, kColors}, torch::kByte);
    if (frame.style == SamStyle::Sam)
        resizePillow(viewOf<const std::uint8_t>(source), PillowFilter::Bilinear, viewOf<std::uint8_t>(target));
    else
        resizeOpenCv(viewOf<const std::uint8_t>(source), OpenCvResize::Area, viewOf<std::uint8_t>(target));
    return target;
}

torch::Tensor samInput(const PngPixels& picture, const SamFrame& frame) {
    torch::Tensor image = scaledBytes(picture, frame).to(torch::kFloat).permute({2, 0, 1});
    if (frame.style == SamStyle::Sam) {
        const torch::Tensor mean = torch::tensor({123.675F, 116.28F, 103.53F}).view({3, 1, 1});
        const torch::Tensor deviation = torch::tensor({58.395F, 57.12F, 57.375F}).view({3, 1, 1});
        image = (image - mean) / deviation;
    } else {
        const torch::Tensor low = image.min();
        image = (image - low) / (image.max() - low).clamp_min(1e-8);
    }
    return torch::constant_pad_nd(image,
                                  {0, frame.inputSize - frame.scaledWidth, 0, frame.inputSize - frame.scaledHeight})
        .unsqueeze(0)
        .contiguous();
}

torch::Tensor toInputFrame(const torch::Tensor& coordinates, const SamFrame& frame) {
    const torch::Tensor exact = coordinates.to(torch::kDouble);
    const double longest = static_cast<double>(std::max(frame.height, frame.width));
    double sx = static_cast<double>(frame.scaledWidth) / static_cast<double>(frame.width);
    double sy = static_cast<double>(frame.scaledHeight) / static_cast<double>(frame.height);
    // LiteMedSAM ignores that the sides were rounded.
    if (frame.style == SamStyle::LiteMedsam) sx = sy = static_cast<double>(frame.inputSize) / longest;
    std::vector<double> factors;
    for (std::int64_t i = 0; i < exact.size(-1); ++i) factors.push_back(i % 2 == 0 ? sx : sy);
    return (exact * torch::tensor(factors, torch::kDouble)).to(torch::kFloat);
}

torch::Tensor maskScores(const torch::Tensor& logits, const SamFrame& frame) {
    if (frame.style == SamStyle::Medsam) return bilinear(torch::sigmoid(logits), frame.height, frame.width);
    const torch::Tensor full = bilinear(logits, frame.inputSize, frame.inputSize);
    return bilinear(full.narrow(2, 0, frame.scaledHeight).narrow(3, 0, frame.scaledWidth), frame.height, frame.width);
}

double maskThreshold(SamStyle style) {
    return style == SamStyle::Medsam ? 0.5 : 0.0;
}

}  // namespace medseg
