// A recipe's stages in order: generate, prepare, train, predict, evaluate, report. Stages that are up to date are
// skipped; what was cut off is resumed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "medseg/dataset/layout.h"
#include "medseg/metrics/evaluation.h"
#include "medseg/nn/network_module.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

enum class Stage { Generate, Prepare, Train, Predict, Evaluate, Report };

/// "generate", "prepare", "train", "predict", "evaluate", "report".
const char* stageName(Stage stage);
/// Throws UsageError listing the names.
Stage stageFromName(const std::string& name);

/// Where a run keeps what it makes, below recipe.output.
struct RunFolders {
    explicit RunFolders(const Recipe& recipe);

    std::filesystem::path root;
    std::filesystem::path cache;        ///< training slices, or volumes
    std::filesystem::path model;        ///< checkpoints and training history
    std::filesystem::path predictions;  ///< CASE.nii.gz, in the geometry of the input
    std::filesystem::path measured;     ///< reference/ and prediction/: what is compared, CASE.nii.gz each
    std::filesystem::path evaluation;
    std::filesystem::path report;
};

/// From where the training stage starts when the model folder holds a latest.pth.
enum class TrainingStart {
    Automatic,  ///< continue a run of the same recipe, begin anew otherwise
    Continue,   ///< continue whatever recipe it was trained with
    Anew
};

/// Best validation Dice of the models of a cross-validation.
struct CrossValidation {
    std::vector<double> dice;  ///< of each fold
    double mean = 0;
    double deviation = 0;  ///< standard deviation between folds (n - 1)
    std::filesystem::path file;
};

class Pipeline {
  public:
    /// Throws UsageError when the recipe names no data.
    explicit Pipeline(Recipe recipe);

    const Recipe& recipe() const { return recipe_; }
    const RunFolders& folders() const { return folders_; }

    /// Runs `stages` (all of them when empty) in order; `force` runs them even when they are up to date. Writes
    /// recipe.yaml and, after each stage, its fingerprint in stages.json: the recipe sections it depends on, its inputs
    /// by size and time, the stages before it, the program's version.
    void run(std::vector<Stage> stages, bool force);

    /// Trains one model for each of data.folds folds into folders().model/fold_N (after run() of the stages before),
    /// and writes the best validation Dice of each, their mean and standard deviation to cross_validation.json there.
    /// Folds that are done are left alone, one that was cut off goes on. Throws UsageError for fewer than two folds, or
    /// more folds than cases.
    CrossValidation trainAllFolds();

    /// The train stage in a process of a job that is not the first: takes part in the training that the first one's
    /// run() does, and writes nothing. `force` as there.
    void joinTraining(bool force);

    void setTrainingStart(TrainingStart start) { trainingStart_ = start; }
    /// Training continues from this checkpoint instead of the newest one of the model folder.
    void setResumeFile(const std::filesystem::path& file) { resumeFile_ = file; }

    /// Of the evaluate stage, when this run executed it.
    const std::optional<EvaluationSummary>& evaluation() const { return evaluation_; }

  private:
    void runStage(Stage stage);
    void generate();
    void prepare();
    void train();
    /// The recipe as the family of its network trains with it. Throws UsageError where it cannot.
    Recipe trainingRecipe() const;
    TrainRequest trainRequest(const Recipe& recipe, const std::filesystem::path& model) const;
    TrainOutcome trainInto(const Recipe& recipe, const std::filesystem::path& model, const std::string& fingerprint);
    void predict();
    void evaluate();
    void report();

    /// Cases the final measurement runs on, and (with a split by slice) which slices of them count.
    struct MeasuredCase {
        Case item;
        std::vector<std::int64_t> slices;  ///< of the SlicePlan; empty = the whole volume
    };
    std::vector<MeasuredCase> measuredCases(const Dataset& dataset) const;

    void writeMeasured(const char* side, const std::string& id, const LabelMap& labels,
                       const std::vector<std::int64_t>& slices) const;

    bool isSam() const { return recipe_.model.kind == "sam"; }
    bool isSam2() const { return recipe_.model.kind == "sam2"; }
    std::string fingerprint(Stage stage) const;
    bool isUpToDate(Stage stage) const;
    void markDone(Stage stage) const;

    Recipe recipe_;
    RunFolders folders_;
    TrainingStart trainingStart_ = TrainingStart::Automatic;
    std::filesystem::path resumeFile_;
    std::optional<EvaluationSummary> evaluation_;
};

}  // namespace medseg
