// Any pairs of images and labels into nnU-Net's raw layout.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/medsam_pairs.h"
#include "medseg/dataset/nnunet_dataset.h"

namespace medseg {

struct NnunetSettings {
    std::vector<std::string> channels{"CT"};  ///< names; nnU-Net windows channels called "CT"
    std::vector<std::string> suffixes;        ///< of the image files, one a channel; the first is that of the pairs
    std::vector<std::string> labelNames;      ///< of labels 1, 2 ...; empty: label_1, label_2 ...
};

/// Cases with label first, then the channels. Throws UsageError unless there is a suffix for every channel, DataError
/// when a channel's file is missing.
std::vector<PipelineCase> nnunetCases(const std::vector<ImageLabelPair>& pairs, const NnunetSettings& settings);

/// Writes imagesTr/ID_0000.nii.gz ... and labelsTr/ID.nii.gz. Voxel types and scaling of images are kept in value,
/// grids of labels and channels must match. Throws DataError for NaN and for labels without a name.
CaseForm nnunetForm(const NnunetSettings& settings);

/// dataset.json of the finished cases: label names as given, else label_1 to the largest that occurs.
NnunetDescription describeNnunet(const CasePipelineResult& result, const NnunetSettings& settings);

}  // namespace medseg
