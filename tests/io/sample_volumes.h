// Volumes that file formats must bring back.
#pragma once

#include <limits>
#include <random>

#include "medseg/io/nifti_orientation.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// Oblique, with a flipped third axis.
inline Geometry obliqueGeometry(Index3 size) {
    Affine affine = affineFromQuaternion({0.1, -0.3, 0.2, true}, {0.9, 1.1, 2.2});
    affine[0][3] = -33.3;
    affine[1][3] = 12.5;
    affine[2][3] = 77;
    return {size, affine};
}

template <typename T>
Volume<T> numbered(const Geometry& geometry) {
    Volume<T> volume(geometry);
    std::mt19937 random(1);
    for (T& voxel : volume.voxels()) voxel = static_cast<T>(random() % 120);
    volume.data()[0] = std::numeric_limits<T>::lowest();
    volume.data()[1] = std::numeric_limits<T>::max();
    return volume;
}

}  // namespace medseg
