// From image and label volumes to the training files of MedSAM, MedSAM2 and LiteMedSAM: pre_CT_MR.py of the official
// repositories (MedSAM master, its MedSAM2 and LiteMedSAM branches) and the slice files of the first two.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/label_reader.h"
#include "medseg/dataset/medsam_image.h"
#include "medseg/dataset/medsam_labels.h"
#include "medseg/dataset/medsam_pairs.h"

namespace medseg {

struct MedsamSettings {
    std::string form = "medsam";  ///< medsam, medsam2 or litemedsam
    std::string modality = "CT";  ///< first part of the output names; "CT" is windowed, others use percentiles
    std::string anatomy = "Abd";  ///< second part of the output names; may be empty
    MedsamImageRules image;       ///< its modality follows from the name above
    MedsamLabelRules labels;
    int trainCases = 40;             ///< the first so many in sorted order are for training; 0: all
    bool saveNii = false;            ///< also the kept slices as NIfTI, to look at
    bool npy = false;                ///< also one .npy a slice, of the training cases
    std::array<int, 2> imageSize{};  ///< rows and columns of the resized .npy slices
};

/// The values of the official script. Throws UsageError for an unknown form.
MedsamSettings medsamDefaults(const std::string& form);

/// Throws UsageError on settings that cannot be used together.
void checkMedsamSettings(const MedsamSettings& settings);

/// One case in memory: the labelled slices, ready to be written.
struct MedsamCase {
    Volume<std::uint8_t> images;       ///< kept slices
    Volume<std::uint8_t> labels;       ///< same size
    std::vector<std::int64_t> slices;  ///< z of the kept slices in the original
    Vec3 spacing{};                    ///< of the original, mm
    Index3 size{};                     ///< of the original, voxels
    ByteScale scale;
    std::int64_t wrappedTumors = 0;  ///< tumours whose label did not fit into 255
    std::int64_t overlapping = 0;    ///< voxels in more than one mask; the last one has them

    bool empty() const { return slices.empty(); }
};

/// Reads and prepares one case. Throws DataError: damaged files, labels that are no integers 0..255, grids that differ.
MedsamCase prepareMedsamCase(const std::filesystem::path& image, const std::filesystem::path& label,
                             const MedsamSettings& settings, const LabelReader& reader = {});

/// Writes imgs and gts (uint8, z y x) and spacing (float64, x y z), compressed.
void writeMedsamNpz(const std::filesystem::path& path, const MedsamCase& prepared);

/// MODALITY_ANATOMY_.
std::string medsamPrefix(const MedsamSettings& settings);

/// Where the npz files lie below the output: npz_train/CT_Abd, npz_test/CT_Abd (LiteMedSAM: MedSAM_train/...), as the
/// scripts' commands name them.
std::filesystem::path medsamVolumeFolder(const MedsamSettings& settings, bool training);

/// The pairs as cases named MODALITY_ANATOMY_ID; the first `trainCases` are marked for training.
std::vector<PipelineCase> medsamCases(const std::vector<ImageLabelPair>& pairs, const MedsamSettings& settings);

/// Writes npz_train/MODALITY_ANATOMY/NAME.npz or npz_test/... (LiteMedSAM: MedSAM_train, MedSAM_test), with saveNii
/// NAME_img.nii.gz and NAME_gt.nii.gz beside it, with npy npy/imgs/NAME-000.npy and npy/gts/NAME-000.npy. A case
/// without any label left writes nothing and warns.
CaseForm medsamForm(const MedsamSettings& settings, const LabelReader& reader = {});

}  // namespace medseg
