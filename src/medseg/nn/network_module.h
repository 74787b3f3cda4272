// The wall between the torch-free library and libmedseg_nn. Commands that need a network call loadNetworkModule(),
// which opens libmedseg_nn.so beside the program; nothing else touches it, so `medseg --help`, info, prepare and
// evaluate start at once and work on a machine without libtorch.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "medseg/base/ranks.h"
#include "medseg/dataset/prompts.h"
#include "medseg/dataset/slice_plan.h"
#include "medseg/imaging/label_cleanup.h"
#include "medseg/nn/propagation_options.h"
#include "medseg/recipe/recipe.h"
#include "medseg/volume/label_map.h"

namespace medseg {

struct TrainRequest {
    Recipe recipe;
    std::filesystem::path cache;   ///< slices or volumes that `prepare` wrote
    std::filesystem::path output;  ///< model folder: label_map.json, latest, best, checkpoint_epochX, training_history
    bool resume = false;           ///< continue from output/latest.pth when it exists
    std::filesystem::path resumeFrom{};  ///< continue from this checkpoint instead
    bool writes = true;                  ///< false in all processes of a job but the first
};

struct TrainOutcome {
    int epochs = 0;                   ///< finished epochs, earlier runs included
    int bestEpoch = 0;                ///< 1-based; 0 when nothing was validated
    double bestDice = 0;              ///< mean validation Dice of the best epoch
    double secondsPerEpoch = 0;       ///< median of this run
    double idleShare = 0;             ///< share of the time in which the network waited for data, 0..1
    std::filesystem::path bestModel;  ///< best.pth
};

/// How a segmenter works; the defaults come from the recipe inside the model.
struct SegmenterOptions {
    std::string device = "cpu";
    int batchSize = 0;                ///< slices or patches at once; 0 = as the recipe says
    double threshold = -1;            ///< sigmoid outputs; below 0 = as the recipe says
    bool searchedThresholds = false;  ///< the first model's thresholds.json instead of one threshold
    std::string precision = "fp32";   ///< fp32, bf16 or int8 (needs a calibrated model)
    double overlap = -1;              ///< share of patches that overlap (3D); below 0 = as the recipe says
    std::vector<std::string> mirror;  ///< test-time mirroring along "x" and "y" of the slice, and "z" (3D)
};

/// Receives probabilities of one structure on one slice of the input grid.
/// `values` holds nx*ny floats in [0, 1], x fastest; slices and structures arrive in ascending order per slice;
/// structures that are below half the threshold everywhere on a slice are not reported (their probability counts as 0).
using ProbabilitySink = std::function<void(int structure, std::int64_t slice, const float* values)>;

/// A trained network that turns a volume into labels.
class Segmenter {
  public:
    virtual ~Segmenter() = default;
    virtual const LabelTable& labels() const = 0;
    /// Across which axis the volume is cut: the order of slices in callbacks.
    virtual SliceAxis axis() const = 0;
    /// One a structure: the probability from which it counts; empty with softmax outputs, where the most probable wins.
    virtual std::vector<double> thresholds() const = 0;
    /// Seconds spent in the network so far.
    virtual double networkSeconds() const = 0;
    /// `image` in HU; the result has the image's geometry. `advance` is called after every slice. `uncertainty`, if
    /// given, receives the entropy of the probabilities in the image's geometry, 0 (sure) to 1: with softmax outputs of
    /// their distribution, divided by its largest possible value; with sigmoid outputs the largest binary entropy of
    /// any structure, in bits. Throws InterruptedError.
    virtual LabelMap segment(const Volume<float>& image, const std::function<void()>& advance = {},
                             const ProbabilitySink& probabilities = {}, Volume<float>* uncertainty = nullptr) = 0;
};

/// The clean-up that a recipe asks for.
LabelCleanup cleanupFrom(const PredictSettings& settings);

struct PredictRequest {
    /// Model folders or files; several vote with their mean probability.
    std::vector<std::filesystem::path> models;
    std::vector<std::filesystem::path> inputs;  ///< image files
    /// File for a single input, else a folder that gets CASE.nii.gz for each input.
    std::filesystem::path output;
    bool outputIsFolder = false;
    bool separate = false;       ///< also CASE/<structure>.nii.gz (0/1), one per structure of the model
    bool probabilities = false;  ///< also CASE_probabilities/<structure>.nii.gz (float, 0..1)
    bool crf = false;            ///< refine probabilities by the image's edges before labels are chosen
    bool uncertainty = false;    ///< also CASE_uncertainty.nii.gz (float, 0..1, see Segmenter::segment)
    bool skipExisting = false;   ///< leave inputs alone whose output exists
    SegmenterOptions segmenter;
    std::optional<LabelCleanup> cleanup;  ///< of the labels (not of probabilities); unset = as the model's recipe says
};

struct PredictOutcome {
    int volumes = 0;
    int skipped = 0;
    std::int64_t slices = 0;
    double seconds = 0;                             ///< wall clock, reading and writing included
    double networkSeconds = 0;                      ///< of which in the network
    std::vector<std::filesystem::path> labelFiles;  ///< one per input, in order
};

/// How the values of a volume become the grey levels that a prompted network sees; what is not set follows from the
/// model, else from the image.
struct PictureRules {
    std::string modality;                         ///< "CT": a window; anything else: percentiles; empty: not set
    std::optional<std::array<double, 2>> window;  ///< HU
};

struct PromptedRequest {
    std::filesystem::path model;                ///< checkpoint or model folder
    std::vector<std::filesystem::path> inputs;  ///< pictures and volumes
    std::filesystem::path output;  ///< label file for a single input, else a folder that gets CASE.nii.gz or CASE.png
    bool outputIsFolder = false;
    bool skipExisting = false;
    PromptOptions prompts;
    PictureRules picture;
    std::string style = "auto";  ///< how the network wants images: auto, sam, medsam, litemedsam
    std::string device = "cpu";
    std::string precision = "fp32";  ///< of the image encoder: fp32 or bf16
    int batchSize = 32;              ///< prompts at once
    bool multimask = false;          ///< of three candidates the one with the highest expected IoU
    /// Boxes travel through the volume (SAM 2 and its relatives only).
    std::optional<PropagationOptions> propagation{};
};

/// What became of one prompt.
struct PromptedObject {
    int label = 0;
    std::int64_t slice = 0;
    double expectedIou = 0;   ///< as the network judges itself
    std::int64_t pixels = 0;  ///< inside
};

struct PromptedOutcome {
    int images = 0;
    int skipped = 0;
    std::int64_t slices = 0;  ///< encoded
    double seconds = 0;
    std::vector<std::filesystem::path> labelFiles;     ///< one per input
    std::vector<std::vector<PromptedObject>> objects;  ///< of each input
};

struct PromptedEvaluationRequest {
    std::filesystem::path model;
    std::string name;                          ///< of the table's last row; empty: the model file's
    std::vector<std::filesystem::path> cases;  ///< .npz with imgs and gts (medsam_preparation.h)
    std::filesystem::path output;              ///< folder for tables and picture; empty: nothing is written
    /// Only these slices of these cases; empty: all with labels.
    std::map<std::string, std::vector<std::int64_t>> slices;
    double margin = 0;  ///< added to the labels' boxes on all sides, pixels
    std::string style = "auto";
    std::string device = "cpu";
    int batchSize = 32;
};

/// Scores of a case: means over its labels, each pooled over the measured slices.
struct PromptedCaseScore {
    std::string name;
    double dice = 0;     ///< DSC
    double iou = 0;      ///< MIOU
    double fps = 0;      ///< slices a second, preparation and restoration included
    double boxDice = 0;  ///< of the filled boxes
    std::int64_t slices = 0;
    std::int64_t prompts = 0;
};

struct PromptedEvaluation {
    std::vector<PromptedCaseScore> cases;
    PromptedCaseScore overall;  ///< means over cases
    int epochs = 0;             ///< of training, 0 unknown
    std::string precision;
};

struct QuantizeRequest {
    std::filesystem::path model;
    std::filesystem::path cache;  ///< slice cache that the model was trained on
    int slices = 64;              ///< to calibrate on, spread evenly over the training slices
};

struct QuantizeOutcome {
    std::filesystem::path file;  ///< quantization.json beside the checkpoint
    int slices = 0;
};

struct ThresholdRequest {
    std::filesystem::path model;
    std::filesystem::path cache;  ///< slice cache that the model was trained on
};

struct ThresholdOutcome {
    std::filesystem::path file;  ///< thresholds.json beside the checkpoint
    int slices = 0;              ///< validation slices it was chosen on
    double diceBefore = 0;       ///< mean over structures of the pooled Dice at the recipe's threshold
    double diceAfter = 0;        ///< the same at the thresholds found
};

enum class ExplainMethod { GradCam, Occlusion };

/// Where a slice network looks for one structure; see infer/explanation.h.
struct ExplainRequest {
    std::filesystem::path model;
    const Volume<float>* image = nullptr;  ///< HU
    std::string structure;
    std::optional<std::int64_t> slice;  ///< voxel index along the axis across the slices; none: the largest area
    ExplainMethod method = ExplainMethod::GradCam;
};

struct ExplainOutcome {
    Volume<float> heat;   ///< 0..1, the strongest place 1; zero off the slice; the image's geometry
    LabelMap prediction;  ///< the structure as predicted, on the slice only
    SliceAxis axis = SliceAxis::Axial;
    std::int64_t slice = 0;  ///< voxel index
    double strongest = 0;    ///< heat before scaling; occlusion: the largest loss of probability, 0..1
};

/// A slice of the mask to reconstruct from.
struct ReconstructSlice {
    int axis = 2;  ///< index axis of the image across which the slice lies
    std::int64_t index = 0;
};

/// Shapes in 3D from an image and a mask on one or several of its slices.
struct ReconstructRequest {
    std::filesystem::path model;           ///< SAM 3D model: folder or checkpoint
    std::filesystem::path image;           ///< volume
    std::filesystem::path mask;            ///< label map on the same grid; may be drawn on one slice only
    std::vector<ReconstructSlice> slices;  ///< empty: chosen as the recipe says
    std::vector<int> labels;               ///< empty: all that the mask shows
    std::filesystem::path output;          ///< label map in the image's geometry
    std::filesystem::path uncertainty;     ///< optional: entropy 0..1 in bits, the largest of all labels
    std::filesystem::path surface;         ///< optional: decoded surfaces, .obj, .ply or .stl
    std::filesystem::path splats;          ///< optional: Gaussian splats, .ply; needs the released decoder
    std::vector<std::string> overrides;    ///< recipe keys that win over the model's
};

/// The held-out cases of a folder that was prepared for SAM 3D.
struct ReconstructCasesRequest {
    std::filesystem::path model;
    std::filesystem::path cases;  ///< what `medseg prepare --form sam3d` wrote
    /// CASE.nii.gz, CASE_uncertainty.nii.gz, CASE_objects/label_N.nii.gz (each label by itself) and, with a mesh
    /// decoder, label_N.obj, slices.json
    std::filesystem::path output;
    std::vector<std::string> overrides;
};

struct ReconstructOutcome {
    int objects = 0;
    std::int64_t slices = 0;
    double seconds = 0;
    std::vector<std::filesystem::path> files;
};

/// What libmedseg_nn offers, free of torch types.
class NetworkModule {
  public:
    virtual ~NetworkModule() = default;

    /// This process is one of a job: meets the others. Afterwards train() shares the work with them, and only the first
    /// of them writes files and progress. Throws WorkError when they do not come.
    virtual void joinRanks(const RankSettings& settings) = 0;
    /// After joinRanks(): the first process, when it has prepared what the others wait for; the others.
    virtual void releaseOtherRanks() = 0;
    virtual void waitForFirstRank() = 0;
    /// Trains as the recipe says. Throws InterruptedError after Ctrl-C, with the state saved for `resume`.
    virtual TrainOutcome train(const TrainRequest& request) = 0;
    /// `models`: model folders (their best.pth, else latest.pth) or .pth files that medseg wrote; several vote with
    /// their mean probability. Throws DataError.
    virtual std::unique_ptr<Segmenter> openSegmenter(const std::vector<std::filesystem::path>& models,
                                                     const SegmenterOptions& options) = 0;
    /// Segments every input and writes label maps in the inputs' geometry, with label names. An input that cannot be
    /// read is reported and the rest is done; then throws the first error.
    virtual PredictOutcome predict(const PredictRequest& request) = 0;
    /// Segments what prompts point at, slice by slice; label maps have the inputs' geometry. Errors as in predict().
    virtual PromptedOutcome predictPrompted(const PromptedRequest& request) = 0;
    /// Segments the labels of npz cases from their boxes and measures the result; writes per_case.csv, result.md (the
    /// MedSAM table), summary.json and comparison.png (image, reference, prediction). Throws DataError.
    virtual PromptedEvaluation evaluatePrompted(const PromptedEvaluationRequest& request) = 0;
    /// True if the checkpoint or model folder holds a network that needs prompts.
    virtual bool needsPrompts(const std::filesystem::path& model) = 0;
    /// Reconstructs structures from slices with a SAM 3D model. Throws DataError, InterruptedError.
    virtual ReconstructOutcome reconstruct(const ReconstructRequest& request) = 0;
    virtual ReconstructOutcome reconstructCases(const ReconstructCasesRequest& request) = 0;
    /// Calibrates a model for 8-bit prediction (SegmenterOptions::precision "int8").
    virtual QuantizeOutcome quantize(const QuantizeRequest& request) = 0;
    /// Chooses the threshold of every structure on the validation slices (SegmenterOptions::searchedThresholds).
    virtual ThresholdOutcome searchThresholds(const ThresholdRequest& request) = 0;
    /// Heat map of where the network looks for a structure.
    virtual ExplainOutcome explain(const ExplainRequest& request) = 0;
    /// "libtorch 1.13.0, CPU, 2 threads": for logs and reports.
    virtual std::string describe() = 0;
};

/// Opens libmedseg_nn on first use. Throws WorkError when it was not built or a library it needs is missing.
NetworkModule& loadNetworkModule();

}  // namespace medseg
