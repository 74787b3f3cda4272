#include "medseg/infer/slice_features.h"

#include <chrono>

#include "medseg/imaging/resize_pillow.h"
#include "medseg/nn/sam2/image_predictor.h"

namespace medseg {

SliceFeatures::SliceFeatures(Sam2 model, const Volume<std::uint8_t>& slices, SliceResize resize, std::int64_t budget)
    : model_(std::move(model)), slices_(slices), resize_(resize), budget_(budget) {}

torch::Tensor SliceFeatures::input(std::int64_t slice) const {
    const std::int64_t side = model_->settings().imageSize;
    const auto view = slices_.slice(slice);
    if (resize_ == SliceResize::Pillow) {
        torch::Tensor bytes = torch::empty({1, 1, side, side}, torch::kByte);
        resizePillow({view.data, view.width, view.height, 1}, PillowFilter::Bicubic,
                     {bytes.data_ptr<std::uint8_t>(), side, side, 1});
        return normalizeColors((bytes.to(torch::kFloat) / 255).expand({1, 3, -1, -1}));
    }
    const torch::Tensor bytes =
        torch::from_blob(const_cast<std::uint8_t*>(view.data), {1, view.height, view.width}, torch::kByte);
    return imagesToInput(bytes, side);
}

ImageFeatures SliceFeatures::at(std::int64_t slice) {
    if (const auto known = entries_.find(slice); known != entries_.end()) {
        uses_.splice(uses_.end(), uses_, known->second.use);
        return known->second.features;
    }
    torch::NoGradGuard noGradient;
    const auto start = std::chrono::steady_clock::now();
    const AutocastScope autocast(precision_, model_->device());
    const ImageFeatures features = model_->encodeImages(input(slice).to(model_->device()));
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ++encodings_;
    bytes_ += features.bytes();
    entries_[slice] = {features, uses_.insert(uses_.end(), slice)};
    while (bytes_ > budget_ && entries_.size() > 1) {
        const auto oldest = entries_.find(uses_.front());
        bytes_ -= oldest->second.features.bytes();
        entries_.erase(oldest);
        uses_.pop_front();
    }
    return features;
}

}  // namespace medseg
