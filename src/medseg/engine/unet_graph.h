// The two-dimensional U-Net as an engine graph.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "medseg/engine/graph.h"

namespace medseg {

/// A parameter or buffer of the network by its name (see nn/unet/unet.h): its values in C order.
using NamedWeights = std::function<std::vector<float>(const std::string& name)>;

/// Batch norms with `epsilon` are folded into the convolutions before them; transposed convolutions become 1x1
/// convolutions whose channels are interleaved. `features`: encoder levels, highest resolution first.
Graph unetGraph(int inChannels, int outChannels, const std::vector<int>& features, int bottleneck, double epsilon,
                const NamedWeights& weights);

}  // namespace medseg
