// nnU-Net's raw datasets: dataset.json, imagesTr/CASE_0000.nii.gz ..., labelsTr/CASE.nii.gz; their check and
// fingerprint. Source: nnU-Net version 2 (dataset format, dataset verification, fingerprint extraction).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "medseg/dataset/memory_budget.h"
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

/// Cases in ascending id, found by `images`/ID_NNNN, with labelsTr/ID. Throws DataError when the folder cannot be
/// listed.
std::vector<NnunetCase> findNnunetCases(const std::filesystem::path& root, const NnunetDescription& description,
                                        const std::string& images = "imagesTr");

/// Bytes that reading the labels and `channels` channels of a case takes, from the first header that can be read; 0
/// when none can.
std::uint64_t nnunetCaseMemory(const NnunetCase& item, std::size_t channels);

/// Everything that nnU-Net's own verification rejects, one line a fault; empty when all is well: number of cases,
/// missing channels and labels, grids that differ, NaN, labels that are unexpected or not consecutive; besides, missing
/// channels in imagesTs. Cases are checked side by side, as many as `memory` bytes hold; the lines are in case order.
/// Throws DataError when dataset.json or imagesTr cannot be read.
std::vector<std::string> checkNnunetDataset(const std::filesystem::path& root,
                                            std::uint64_t memory = availableMemoryShare());

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
/// its figures differ from run to run). Memory: these samples, and as many cases as `memory` bytes hold (at least one).
/// Throws DataError for damaged files.
NnunetFingerprint nnunetFingerprint(const std::filesystem::path& root, std::uint64_t memory = availableMemoryShare());
/// dataset_fingerprint.json with nnU-Net's names.
nlohmann::ordered_json toJson(const NnunetFingerprint& fingerprint);

}  // namespace medseg
