// Finding the cases of a reference and of a prediction, in whatever form they lie on disk, and pairing them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace medseg {

/// How to read a folder of image files.
enum class CaseLayout {
    Auto,        ///< one structure a file if the folder is named "segmentations" or holds files named after organs
    Cases,       ///< one case a file (nnU-Net's labelsTr, FLARE22)
    Structures,  ///< one case, one structure a file (TotalSegmentator)
};

/// One segmentation of one case: a label map, or a folder with one mask a structure.
struct CaseSource {
    std::string name;
    std::filesystem::path path;
    bool isStructureFolder = false;
    bool isWholeInput = false;  ///< the user named this one case, not a folder of cases
};

struct CasePair {
    CaseSource reference;
    CaseSource prediction;
    const std::string& name() const { return reference.name; }
};

struct CasePairing {
    std::vector<CasePair> pairs;                          ///< by name
    std::vector<CaseSource> missingPredictions;           ///< references without a prediction
    std::vector<CaseSource> predictionsWithoutReference;  ///< not evaluated
};

/// All cases under `root`, by name:
/// - a file: one case;
/// - a folder of structure masks: one case;
/// - a folder of files: a case each, named by stem; "X_0000" is case X, and is passed over beside a file "X";
/// - a folder of case folders CASE/segmentations/*.nii.gz, CASE/segmentation.nii.gz (or labels, label, seg) or
/// CASE/<masks>. Throws DataError if there is nothing or none of these, or a case name occurs twice.
std::vector<CaseSource> findCases(const std::filesystem::path& root, CaseLayout layout = CaseLayout::Auto);

/// Pairs by name; where the user named one case on either side, the two are a pair whatever their names. A file beside
/// a folder takes the folder's file of the same stem, or else the whole folder as structure masks. Throws DataError.
CasePairing pairCases(const std::filesystem::path& reference, const std::filesystem::path& prediction,
                      CaseLayout layout = CaseLayout::Auto);

/// Structure name -> mask file of a structure folder, by name.
std::vector<std::pair<std::string, std::filesystem::path>> structureMasks(const std::filesystem::path& folder);

}  // namespace medseg
