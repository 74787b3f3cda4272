// nnU-Net's raw datasets: dataset.json, imagesTr/CASE_0000.nii.gz ..., labelsTr/CASE.nii.gz; their check and
// fingerprint. Source: nnU-Net version 2 (dataset format, dataset verification, fingerprint extraction).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "medseg/volume/label_map.h"

namespace medseg {

/// A label of dataset.json: one value, or several for a region.
struct NnunetLabel {
    std::string name;
    std::vector<int> values;
};

/// dataset.json.
struct NnunetDescription {
    std::vector<std::string> channels;   ///< names, index = number in the file names
    std::vector<NnunetLabel> labels;     ///< in the order of the file, background included
    std::vector<int> regionsClassOrder;  ///< only with regions
    std::int64_t numTraining = 0;
    std::string fileEnding = ".nii.gz";

    bool hasRegions() const;
};

/// Reads `file` (also the older "modality"). Throws DataError, with the key, on anything missing or of a wrong kind.
NnunetDescription readNnunetDescription(const std::filesystem::path& file);
/// Writes it atomically with nnU-Net's keys. Throws WorkError.
void writeNnunetDescription(const std::filesystem::path& file, const NnunetDescription& description);

/// One training case of a raw dataset.
struct NnunetCase {
    std::string id;
    std::vector<std::filesystem::path> channels;  ///< in order; files may be missing
    std::filesystem::path label;
};

/// Cases in ascending id, found by imagesTr/ID_NNNN and labelsTr/ID. Throws DataError when imagesTr cannot be listed.
std::vector<NnunetCase> findNnunetCases(const std::filesystem::path& root, const NnunetDescription& description);

/// Everything that nnU-Net's own verification rejects, one line a fault; empty when all is well: number of cases,
/// missing channels and labels, grids that differ, NaN, labels that are unexpected or not consecutive. Cases are
/// checked in parallel; the lines are in case order. Throws DataError when dataset.json or imagesTr cannot be read.
std::vector<std::string> checkNnunetDataset(const std::filesystem::path& root);

/// Statistics of one channel inside the foreground (label > 0).
struct ForegroundStatistics {
    double max = 0, mean = 0, median = 0, min = 0, percentile005 = 0, percentile995 = 0, std = 0;
};

struct NnunetFingerprint {
    std::vector<Vec3> spacings;           ///< per case, mm, (z, y, x)
    std::vector<Index3> shapesAfterCrop;  ///< per case, (z, y, x), of the box of non-zero voxels
    std::vector<ForegroundStatistics> channels;
    double medianRelativeSize = 1;  ///< of the cropped to the whole volume
};

/// Statistics of `values` as numpy computes them: percentiles by linear interpolation, population deviation. All zero
/// for no values.
ForegroundStatistics foregroundStatistics(std::vector<float> values);

/// Every case counts with at most 1e7 / cases foreground voxels, evenly spaced (nnU-Net draws them at random, so that
/// its figures differ from run to run). Memory: these samples and one case a thread. Throws DataError for damaged
/// files.
NnunetFingerprint nnunetFingerprint(const std::filesystem::path& root);
/// dataset_fingerprint.json with nnU-Net's names.
nlohmann::ordered_json toJson(const NnunetFingerprint& fingerprint);

}  // namespace medseg
