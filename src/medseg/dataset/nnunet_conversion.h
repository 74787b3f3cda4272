// Any pairs of images and labels into nnU-Net's raw layout.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/label_reader.h"
#include "medseg/dataset/medsam_pairs.h"
#include "medseg/dataset/nnunet_dataset.h"

namespace medseg {

struct NnunetSettings {
    std::vector<std::string> channels{"CT"};  ///< names; nnU-Net windows channels called "CT"
    /// Endings of the image files of the second channel and on, behind the case's name; in case folders the files'
    /// names. The first channel is the image of the pair.
    std::vector<std::string> moreSuffixes;
    std::vector<std::string> labelNames;  ///< of labels 1, 2 ...; empty: the structures of masks, else label_1, label_2
};

/// Cases with the labels first, then the channels. A case that lacks a channel goes to `problems`. Throws UsageError
/// unless there is a suffix for every channel but the first.
std::vector<PipelineCase> nnunetCases(const std::vector<ImageLabelPair>& pairs, const NnunetSettings& settings,
                                      std::vector<CaseFailure>& problems);

/// The images of a folder that end with `suffix`, for imagesTs: cases with channels only. Throws as nnunetCases(), and
/// DataError when the folder holds none.
std::vector<PipelineCase> nnunetTestCases(const std::filesystem::path& folder, const std::string& suffix,
                                          const NnunetSettings& settings, std::vector<CaseFailure>& problems);

/// Writes imagesTr/ID_0000.nii.gz ... and labelsTr/ID.nii.gz; of test cases imagesTs/ID_0000.nii.gz ... Voxel types and
/// scaling of images are kept in value, grids of labels and channels must match. Throws DataError for NaN and for
/// labels without a name.
CaseForm nnunetForm(const NnunetSettings& settings, const LabelReader& reader = {});

/// dataset.json of the finished training cases: label names as given, else those of the masks, else label_1 to the
/// largest that occurs.
NnunetDescription describeNnunet(const CasePipelineResult& result, const NnunetSettings& settings,
                                 const LabelReader& reader = {});

}  // namespace medseg
