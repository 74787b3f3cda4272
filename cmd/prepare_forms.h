// What the forms of `medseg prepare` share, and the options of each.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/medsam_pairs.h"

namespace medseg::cli {

/// Folders of images and labels that belong together by name.
struct PairOptions {
    std::string images, labels;
    std::string imageSuffix = "_0000.nii.gz";
    std::string labelSuffix = ".nii.gz";
};
void declarePairOptions(CLI::App& app, PairOptions& options);
/// The pairs, with a warning for every image without a label. `problems` receives labels without an image.
std::vector<ImageLabelPair> pairsFrom(const PairOptions& options, std::vector<CaseFailure>& problems);

/// Options of the forms medsam, medsam2 and litemedsam; what is not given keeps the value of the official script.
struct MedsamOptions {
    std::string modality = "CT", anatomy = "Abd";
    std::optional<double> windowLevel, windowWidth;
    std::optional<std::vector<double>> percentiles;
    std::optional<std::vector<int>> removeLabels;
    std::optional<int> tumorLabel;
    std::optional<std::int64_t> dust3d, dust2d;
    int trainCases = 40;
    bool saveNii = false, npy = false;
};
void declareMedsamOptions(CLI::App& app, MedsamOptions& options);
/// `window` (low, high; may be empty) and `imageSize` (one or two numbers; may be empty) are those of `medseg prepare`.
int runMedsam(const std::string& form, const PairOptions& pairs, const MedsamOptions& options,
              const std::vector<double>& window, const std::vector<int>& imageSize, const std::string& output);

/// Options of the form sam3d.
struct Sam3dOptions {
    int classes = 5;
    double spacing = 3, minForeground = 0.01;
    std::vector<std::string> axes{"0", "1", "2"};
    bool meshes = false, openSurfaces = false, legacyPointmap = false, distanceInMm = false;
};
void declareSam3dOptions(CLI::App& app, Sam3dOptions& options);
/// Cases from `input` (CASE-image and CASE-label files), or from the folders of `pairs`.
int runSam3d(const std::string& input, const PairOptions& pairs, const Sam3dOptions& options,
             const std::string& output);

/// Options of the form nnunet.
struct NnunetOptions {
    std::vector<std::string> channels{"CT"}, moreSuffixes, labelNames;
};
void declareNnunetOptions(CLI::App& app, NnunetOptions& options);
int runNnunet(const PairOptions& pairs, const NnunetOptions& options, const std::string& output);
/// Prints the faults of the raw dataset `input`; throws DataError when there are any.
int runNnunetCheck(const std::string& input);
/// Writes dataset_fingerprint.json into `output`, or into the dataset itself when it is empty.
int runNnunetFingerprint(const std::string& input, const std::string& output);

/// Runs a form on its cases, writes contact_sheet.png beside the manifest, prints what was done and, when there were
/// failures (or `problems` found before), reports each and throws WorkError (exit 1).
int runForm(const CaseForm& form, const std::vector<PipelineCase>& cases, const std::string& output,
            std::vector<CaseFailure> problems = {});

}  // namespace medseg::cli
