// The public SAM 2 models by name, and telling them apart by their weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "medseg/io/tensor_record.h"
#include "medseg/nn/sam2/settings.h"

namespace medseg {

struct RegisteredSam2 {
    std::string name;  ///< "sam2.1_hiera_t"
    Sam2Settings settings;
};

/// SAM 2.0 and 2.1 in four sizes (Ravi et al. 2024), MedSAM2 at 512 (Ma et al. 2025), EfficientTAM at 512 (Xiong et al.
/// 2024), and hiera_mini, a small one to train from scratch.
const std::vector<RegisteredSam2>& registeredSam2();

/// Throws UsageError that lists the names.
const Sam2Settings& sam2ByName(const std::string& name);

/// The settings that weights of official names belong to; shapes decide, and the registry supplies what shapes do not
/// show (heads, windows, image size). Throws DataError naming `source` when they belong to no SAM 2 or to one of a size
/// that is not registered.
Sam2Settings identifySam2(const NamedTensors& weights, const std::string& source);

}  // namespace medseg
