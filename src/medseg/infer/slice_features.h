// Image embeddings of the slices of a volume, computed once and shared by all prompts, labels and directions.
#pragma once

#include <cstdint>
#include <list>
#include <map>

#include "medseg/nn/autocast.h"
#include "medseg/nn/sam2/sam2.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// How a slice becomes the network's input.
enum class SliceResize {
    Smooth,  ///< bilinear in float, smoothed where it shrinks: SAM 2's image predictor, MedSAM2 of 2024
    Pillow   ///< Pillow's bicubic filter on bytes: MedSAM2's video route
};

/// Encodes slices across the third array axis on demand and keeps as many embeddings as `budget` bytes hold, the ones
/// used last.
class SliceFeatures {
  public:
    /// `slices`: grey values 0..255; must outlive this object.
    SliceFeatures(Sam2 model, const Volume<std::uint8_t>& slices, SliceResize resize,
                  std::int64_t budget = kDefaultBudget);

    /// Number format of the products from now on; at first fp32.
    void encodeIn(ProductPrecision precision) { precision_ = precision; }

    ImageFeatures at(std::int64_t slice);

    const Volume<std::uint8_t>& slices() const { return slices_; }
    Sam2& model() { return model_; }
    /// Slices encoded so far, repeated ones counted again.
    std::int64_t encodings() const { return encodings_; }
    /// Seconds spent encoding.
    double seconds() const { return seconds_; }

    static constexpr std::int64_t kDefaultBudget = std::int64_t{2} << 30;

  private:
    struct Entry {
        ImageFeatures features;
        std::list<std::int64_t>::iterator use;
    };
    torch::Tensor input(std::int64_t slice) const;

    Sam2 model_;
    const Volume<std::uint8_t>& slices_;
    SliceResize resize_;
    ProductPrecision precision_ = ProductPrecision::Fp32;
    std::int64_t budget_;
    std::int64_t bytes_ = 0;
    std::map<std::int64_t, Entry> entries_;
    std::list<std::int64_t> uses_;  ///< least recent first
    std::int64_t encodings_ = 0;
    double seconds_ = 0;
};

}  // namespace medseg
