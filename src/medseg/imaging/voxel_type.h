// Volumes in another voxel type.
#pragma once

#include <string>

#include "medseg/volume/volume.h"

namespace medseg {

/// stored * slope + inter in the type that numpy calls `typeName` ("uint8" ... "float64"). Integers are rounded half
/// away from zero and clamped (NaN gives 0); `clampedVoxels`, if given, receives how many did not fit. Throws
/// UsageError for unknown names.
AnyVolume convertVoxelType(const AnyVolume& stored, const std::string& typeName, double slope = 1, double inter = 0,
                           std::int64_t* clampedVoxels = nullptr);

}  // namespace medseg
