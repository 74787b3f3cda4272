// Recipe sections of the forms of preparation beside the U-Net's slices: prepare_medsam, prepare_sam3d, prepare_nnunet.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "medseg/recipe/settings.h"

namespace medseg {

/// The forms medsam, medsam2 and litemedsam. Negative numbers and 0 x 0 pixels stand for the value of the official
/// script, which differs from form to form.
struct PrepareMedsamSettings {
    std::string modality = "CT";
    std::string anatomy = "Abd";
    double windowLevel = 40;
    double windowWidth = 400;
    std::array<double, 2> percentiles{0.5, 99.5};
    std::vector<int> removeLabels{-1};
    int tumorLabel = 0;
    std::int64_t dust3d = -1;
    std::int64_t dust2d = -1;
    int trainCases = 40;
    bool npy = false;
    bool saveNii = false;
    std::array<int, 2> imageSize{0, 0};
};

template <typename Visitor>
void visitFields(Visitor&& field, PrepareMedsamSettings& s) {
    field("modality", s.modality, "CT: a window; MR and others: percentiles; first part of output names", Allowed{});
    field("anatomy", s.anatomy, "second part of output names, as in CT_Abd_CASE; may be empty", Allowed{});
    field("window_level", s.windowLevel, "CT: middle of the window, HU", between(-1e5, 1e5));
    field("window_width", s.windowWidth, "CT: width of the window, HU", between(1e-6, 1e6));
    field("percentiles", s.percentiles, "other modalities: limits among the positive voxels", between(0, 100));
    field("remove_labels", s.removeLabels,
          "labels to drop; 0: none; -1: the script's, 12 (FLARE22's duodenum) of label files and none of mask folders",
          between(-1, 255));
    field("tumor_label", s.tumorLabel, "label whose components become labels of their own; 0: none", between(0, 255));
    field("dust_3d", s.dust3d, "drop components of fewer voxels; -1: 1000, litemedsam 100", between(-1, 1e12));
    field("dust_2d", s.dust2d, "then drop components of fewer pixels in a slice; -1: 100, litemedsam 10",
          between(-1, 1e9));
    field("train_cases", s.trainCases, "the first so many sorted cases are for training; 0: all", between(0, 1e9));
    field("npy", s.npy, "also one .npy a slice, of the training cases", Allowed{});
    field("save_nii", s.saveNii, "also the kept slices as NIfTI, to look at", Allowed{});
    field("image_size", s.imageSize,
          "rows and columns of the resized .npy slices; 0: 1024 (medsam's image and label), 256 (medsam2's label)",
          between(0, 8192));
}

/// Limits of the CT window, HU.
inline std::array<double, 2> windowLimits(const PrepareMedsamSettings& s) {
    return {s.windowLevel - s.windowWidth / 2, s.windowLevel + s.windowWidth / 2};
}

/// The form sam3d.
struct PrepareSam3dSettings {
    int classes = 0;
    double spacing = 3;
    std::vector<int> axes{0, 1, 2};
    double minForeground = 0.01;
    bool meshes = false;
    std::int64_t minMeshVoxels = 100;
    bool openSurfaces = false;
    bool sdfInMm = false;
    bool legacyPointmap = false;
};

template <typename Visitor>
void visitFields(Visitor&& field, PrepareSam3dSettings& s) {
    field("classes", s.classes, "labels are 1 to N; 0: 5 of label files, the number of structures of mask folders",
          between(0, 255));
    field("spacing", s.spacing, "size of the cubic voxels, mm; 0 keeps the grid", between(0, 1e3));
    field("axes", s.axes, "axes of the stored array to cut across", between(0, 2));
    field("min_foreground", s.minForeground, "leave out slices with a smaller share of labelled pixels", between(0, 1));
    field("meshes", s.meshes, "also surfaces, meshes/CASE_classN.obj", Allowed{});
    field("min_mesh_voxels", s.minMeshVoxels, "no surface of labels with fewer voxels", between(0, 1e12));
    field("open_surfaces", s.openSurfaces, "leave surfaces open where the volume cuts an object", Allowed{});
    field("sdf_mm", s.sdfInMm, "signed distances in mm instead of voxels", Allowed{});
    field("legacy_pointmap", s.legacyPointmap,
          "points from permuted indices, as the Python scripts compute them (wrong places)", Allowed{});
}

/// The form nnunet.
struct PrepareNnunetSettings {
    std::vector<std::string> channels{"CT"};
    std::vector<std::string> moreSuffixes;
    std::vector<std::string> labelNames;
    std::string testImages;
};

template <typename Visitor>
void visitFields(Visitor&& field, PrepareNnunetSettings& s) {
    field("channels", s.channels, "names of the channels", Allowed{});
    field("more_suffixes", s.moreSuffixes,
          "endings of the image names of the second channel and on; the first has data.image_suffix", Allowed{});
    field("label_names", s.labelNames,
          "names of labels 1, 2 ...; empty: those of mask folders or of the source's dataset.json, else label_1 ...",
          Allowed{});
    field("test_images", s.testImages, "folder of images without labels, for imagesTs", Allowed{});
}

}  // namespace medseg
