// Slices of a volume as the network sees them.
#pragma once

#include <torch/torch.h>

#include "medseg/recipe/recipe.h"
#include "medseg/volume/label_map.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// `count` canonical slices of `image` (HU) from `firstSlice` on, windowed and resized as `recipe.prepare` says, with
/// the neighbours and position channels of `recipe.model`: float (count, height, width, channels), dense.
torch::Tensor sliceBatch(const Volume<float>& image, const Recipe& recipe, const LabelTable& labels,
                         std::int64_t firstSlice, std::int64_t count);

}  // namespace medseg
