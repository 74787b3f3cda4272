// The published models of the SAM family by name, and the shape of any other from the tensors of its file.
#pragma once

#include <string>
#include <vector>

#include "medseg/io/tensor_record.h"
#include "medseg/nn/sam/sam.h"

namespace medseg {

/// vit_b, vit_l, vit_h, medsam (= vit_b), mobile_sam, lite_medsam, and for training from scratch on a CPU vit_tiny.
const std::vector<std::string>& samModelNames();

/// Hyperparameters of a named model. `imageSize`: pixels of the input, 0 = as published. Throws UsageError for an
/// unknown name or a size that is no multiple of the patches.
SamShape samShape(const std::string& name, std::int64_t imageSize = 0);

/// Hyperparameters from names and shapes of a SAM state dict. What shapes do not tell is taken as in all published
/// models: 8 decoder heads, heads of 64 channels (80 in ViT-H) in an encoder without relative positions. Throws
/// DataError naming `source` when this is no SAM.
SamShape samShapeFromTensors(const NamedTensors& tensors, const std::string& source);

/// A lower bound of the network's parameters, from its large matrices: what a file of it must hold at least.
std::int64_t leastParameterCount(const SamShape& shape);

/// True if the names are those of a SAM (not SAM 2).
bool looksLikeSam(const NamedTensors& tensors);

}  // namespace medseg
