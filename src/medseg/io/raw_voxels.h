// Voxels that lie in a stream of bytes one behind the other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "medseg/io/byte_order.h"
#include "medseg/io/byte_source.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// What a stream of voxels holds.
struct RawVoxels {
    std::string type;  ///< numpy's name
    ByteOrder byteOrder = ByteOrder::Little;
    Geometry geometry;                ///< of one volume
    std::vector<std::int64_t> shape;  ///< all dimensions, x first; those behind the third count volumes
    /// The volumes' values lie voxel by voxel (a vector for each voxel), not volume by volume.
    bool interleaved = false;

    std::int64_t volumeCount() const;
};

/// The volume to read of a file that holds `count`. Throws DataError (naming `source`) without a choice among several,
/// and for a number outside 0 ... count-1.
int chosenVolume(std::int64_t count, std::optional<int> wanted, const std::string& source);

/// Reads one volume, or with `stack` all of them, one behind the other along z. Nothing is allocated that the source
/// cannot fill. Throws DataError (naming `name`): truncated, damaged, more than 64 MiB behind the voxels, unknown type.
AnyVolume readRawVoxels(ByteSource& source, const RawVoxels& layout, std::optional<int> volumeIndex, bool stack,
                        const std::string& name);

/// The voxels as they lie in memory (little-endian).
ByteSpan voxelBytes(const AnyVolume& volume);

}  // namespace medseg
