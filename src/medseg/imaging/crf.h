// Refinement of segmentation probabilities by a fully connected conditional random field (Kraehenbuehl and Koltun
// 2011), as post-processing: labels follow the edges of the image and small ragged parts vanish.
#pragma once

#include <vector>

#include "medseg/volume/volume.h"

namespace medseg {

struct CrfOptions {
    int iterations = 5;
    double smoothnessMm = 2;  ///< sigma of the position kernel
    double smoothnessWeight = 1;
    double appearanceMm = 12;         ///< spatial sigma of the bilateral kernel
    double appearanceIntensity = 30;  ///< its sigma in intensities (HU)
    double appearanceWeight = 3;
};

/// Mean-field inference with a Potts model over one foreground probability (0..1, e.g. of one structure): returns the
/// refined probability. Both kernels are normalised to sum 1 at every voxel, so that weights mean the same everywhere.
/// Approximations: the position kernel is a truncated Gaussian; the bilateral kernel runs on a coarse grid with one
/// node a sigma in space and intensity (bilateral grid of Chen, Paris and Durand 2007) instead of the permutohedral
/// lattice. NaN probabilities count as 0.5; NaN intensities as the smallest one.
/// Memory: 4 bytes a voxel beyond input and output, and the grid (voxels / sigma^3 nodes times the intensity range /
/// sigma). Throws DataError if the sizes differ, UsageError for parameters that are not positive.
Volume<float> refineProbability(const Volume<float>& image, const Volume<float>& probability,
                                const CrfOptions& options = {});

/// The same over several classes whose probabilities sum to 1 at every voxel (background included), in place. Needs a
/// copy of them and one volume more while it runs.
void refineProbabilities(const Volume<float>& image, std::vector<Volume<float>>& probabilities,
                         const CrfOptions& options = {});

}  // namespace medseg
