// From a torch network to the engine's graph.
#pragma once

#include <optional>

#include "medseg/engine/graph.h"
#include "medseg/nn/unet/unet.h"

namespace medseg {

/// The graph of a network that the engine knows (the plain two-dimensional U-Net with batch norm), else nothing.
std::optional<Graph> engineGraph(UNetImpl& network);

}  // namespace medseg
