// torch.nn.functional.interpolate on volumes and slices (a slice is a volume with nz = 1).
#pragma once

#include <optional>

#include "medseg/volume/volume.h"

namespace medseg {

enum class TorchResize {
    Nearest,       ///< floor(i * in / out), in float as torch
    NearestExact,  ///< floor((i + 0.5) * in / out)
    Linear,        ///< bilinear or trilinear
    Cubic,         ///< bicubic, a = -0.75 (a = -0.5 with antialias); slices only in torch, any axis here
    Area           ///< mean over the input pixels that an output pixel touches (adaptive average pooling)
};

struct TorchResizeOptions {
    TorchResize mode = TorchResize::Linear;
    bool alignCorners = false;
    bool antialias = false;  ///< Linear and Cubic: the filter widens when downsampling, as in PIL
    /// Scale factors (x, y, z) when interpolate() got scale_factor without recompute_scale_factor: coordinates then use
    /// 1 / factor instead of in / out.
    std::optional<Vec3> scaleFactors;
};

/// Axes whose size stays the same are left alone (exact in every mode). Throws UsageError for a size below 1.
Volume<float> resizeTorch(const Volume<float>& volume, const Index3& size, const TorchResizeOptions& options = {});

}  // namespace medseg
