// From an image and a label map to the training files of SAM 3D's medical fine-tuning: isotropic grid, signed
// distances, surfaces, slice caches. File names and contents are those of the Python scripts.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/label_reader.h"
#include "medseg/dataset/medsam_pairs.h"
#include "medseg/dataset/sam3d_slices.h"
#include "medseg/dataset/sam3d_volume.h"

namespace medseg {

struct Sam3dSettings {
    int classes = 5;                 ///< labels 1..classes, at most 255
    double spacing = 3;              ///< mm of the cubic voxels; 0 keeps the grid as it is
    std::vector<int> axes{0, 1, 2};  ///< index axes to cut across
    double minForeground = 0.01;     ///< slices with a smaller share of foreground pixels are left out
    bool meshes = false;             ///< also surfaces
    std::int64_t minMeshVoxels = 100;
    bool closeSurfaces = true;  ///< close surfaces at the border of the volume (the scripts leave them open)
    DistanceUnit distanceUnit = DistanceUnit::Voxel;
    PointmapRule pointmap = PointmapRule::Exact;
};

/// Throws UsageError on settings out of range.
void checkSam3dSettings(const Sam3dSettings& settings);

/// Reads a case, checks it and brings it onto the isotropic grid: the image by trilinear interpolation, labels by the
/// nearest voxel. A grid that already has the spacing is kept. Throws DataError naming the file: damaged files, grids
/// that differ, NaN or infinite intensities, no foreground at all, labels above `classes`. `overlapping` receives the
/// number of voxels that lie in several masks.
Sam3dVolume readSam3dVolume(const std::filesystem::path& image, const std::filesystem::path& label,
                            const Sam3dSettings& settings, const LabelReader& reader = {},
                            std::int64_t* overlapping = nullptr);

/// The pairs as cases. Ids are those of the scripts: CASE with the ending of the image without ".gz", "s0001.nii".
std::vector<PipelineCase> sam3dCases(const std::vector<ImageLabelPair>& pairs);

/// Writes ID_axisA_sliceNNNN.npz, ID_sdf.npy (float32: classes, i, j, k) and meshes/ID_classC.obj. `output` is the
/// folder where the files will lie, which the slices name as gt_sdf_path. A class that does not occur gets the distance
/// kSam3dNoSurface and a warning.
CaseForm sam3dForm(const Sam3dSettings& settings, const std::filesystem::path& output, const LabelReader& reader = {});

}  // namespace medseg
