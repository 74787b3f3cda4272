// MedSAM's normalisation of images to bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "medseg/imaging/window.h"
#include "medseg/io/image_file.h"

namespace medseg {

enum class Modality {
    Ct,    ///< clipped to a window
    Other  ///< MR and all others: clipped to percentiles of the positive voxels; zeros stay 0
};

/// "CT" (any case) is Ct, everything else Other.
Modality modalityFromName(const std::string& name);

struct MedsamImageRules {
    Modality modality = Modality::Ct;
    Window window{40, 400};                     ///< CT, HU
    std::array<double, 2> percents{0.5, 99.5};  ///< other modalities, of the positive voxels
};

/// An image whose voxels are turned into bytes in any choice of slices; limits and range are those of the whole volume.
class MedsamImage {
  public:
    /// Image as stored; slope and inter of its header are applied in double precision.
    MedsamImage(StoredImage image, const MedsamImageRules& rules);

    const Geometry& geometry() const { return geometryOf(image_.voxels); }
    const ByteScale& scale() const { return scale_; }
    /// The bytes of these slices (z, ascending), one behind the other: (clip(v) - min) / (max - min) * 255, truncated.
    void slicesToBytes(const std::vector<std::int64_t>& slices, std::span<std::uint8_t> out) const;

  private:
    StoredImage image_;
    ByteScale scale_;
};

}  // namespace medseg
