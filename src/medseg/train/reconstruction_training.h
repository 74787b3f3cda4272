// A whole training of SAM 3D: the structure stage (autoencoder where it has no weights yet, then the generator), the
// latent stage, or both.
#pragma once

#include "medseg/nn/network_module.h"
#include "medseg/train/data_parallel.h"

namespace medseg {

/// request.cache is the folder that `medseg prepare --form sam3d` wrote. Writes to request.output: best.pt, latest.pt,
/// epoch_N.pt, history.json and .png, events/, recipe.yaml, split.json, mean_shapes.npz (training cases' mean occupancy
/// of every label, the baseline of the evaluation) and, when the autoencoder is trained too, vae/ with the same files;
/// the latent stage goes to latent/.
/// Throws what Trainer::run() and Sam3dDataset throw.
TrainOutcome trainReconstruction(const TrainRequest& request, DataParallel* ranks = nullptr);

}  // namespace medseg
