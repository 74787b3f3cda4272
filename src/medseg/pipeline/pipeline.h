// A recipe's stages in order: generate, prepare, train, predict, evaluate, report. Stages that are up to date are
// skipped; what was cut off is resumed.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "medseg/metrics/evaluation.h"
#include "medseg/nn/network_module.h"
#include "medseg/pipeline/family_stages.h"
#include "medseg/pipeline/stage.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

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
    /// Training continues from this checkpoint, a path or a name in the model folder, instead of the newest one there.
    void setResumeFile(const std::filesystem::path& file) { resumeFile_ = file; }

    /// Of the evaluate stage, when this run executed it.
    const std::optional<EvaluationSummary>& evaluation() const { return evaluation_; }

  private:
    void runStage(Stage stage);
    void generate();
    void train();
    TrainRequest trainRequest(const Recipe& recipe, const std::filesystem::path& model) const;
    TrainOutcome trainInto(const Recipe& recipe, const std::filesystem::path& model, const std::string& fingerprint);
    std::string fingerprint(Stage stage) const;
    bool isUpToDate(Stage stage) const;
    void markDone(Stage stage) const;

    Recipe recipe_;
    RunFolders folders_;
    std::unique_ptr<FamilyStages> family_;  ///< refers to both
    TrainingStart trainingStart_ = TrainingStart::Automatic;
    std::filesystem::path resumeFile_;
    std::optional<EvaluationSummary> evaluation_;
};

}  // namespace medseg
