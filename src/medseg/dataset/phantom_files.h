// Phantom cases as files, in the layouts that real datasets have.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/phantom.h"

namespace medseg {

enum class PhantomLayout {
    TotalSegmentator,  ///< s0000/ct.nii.gz, s0000/segmentations/<name>.nii.gz (uint8, 0 or 1; one file a structure)
    NnUNet             ///< imagesTr/s0000_0000.nii.gz, labelsTr/s0000.nii.gz, dataset.json
};

/// "totalsegmentator", "nnunet". Throws UsageError.
PhantomLayout phantomLayoutFromName(const std::string& name);

/// Draws all cases and writes them below `directory`, with the settings in phantom.json; returns the case ids. Cases of
/// an earlier phantom are replaced. Throws WorkError when the folder holds cases of another origin or writing fails,
/// InterruptedError on Ctrl-C; finished cases stay, an unfinished one leaves nothing.
std::vector<std::string> writePhantom(const PhantomSettings& settings, PhantomLayout layout,
                                      const std::filesystem::path& directory);

}  // namespace medseg
