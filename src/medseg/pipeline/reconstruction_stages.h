// The stages after training of recipes that reconstruct shapes with SAM 3D.
#pragma once

#include "medseg/pipeline/pipeline.h"

namespace medseg {

/// Reconstructs the held-out cases into folders.predictions.
void predictReconstructions(const Recipe& recipe, const RunFolders& folders);

/// Compares folders.predictions with the distances that were prepared and writes metrics.json into folders.evaluation:
/// every object of every held-out case, statistics over all and by label, the definitions, and beside the network two
/// baselines: the mask of the given slice extruded across the whole volume, and the mean shape of the training cases.
void evaluateReconstructions(const Recipe& recipe, const RunFolders& folders);

/// Pictures of folders.predictions in folders.report: overlays and comparison grids (image, reference, prediction,
/// difference) for the three planes, surfaces of reference and prediction as OBJ (decoded ones where there are some),
/// both in 3D as HTML. At most recipe.report.overlays cases.
void reportReconstructions(const Recipe& recipe, const RunFolders& folders);

}  // namespace medseg
