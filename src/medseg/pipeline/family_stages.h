// What the stages of a run do, for one family of networks (recipe.model.kind).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "medseg/metrics/evaluation.h"
#include "medseg/pipeline/stage.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

class FamilyStages {
  public:
    /// Both must outlive the object.
    FamilyStages(const Recipe& recipe, const RunFolders& folders) : recipe_(recipe), folders_(folders) {}
    virtual ~FamilyStages() = default;
    FamilyStages(const FamilyStages&) = delete;
    FamilyStages& operator=(const FamilyStages&) = delete;

    /// The stages of a whole run, in order.
    virtual std::vector<Stage> stages() const;
    /// False for a stage that has nothing to do, also when it is asked for by name.
    virtual bool has(Stage) const { return true; }
    /// Recipe sections that decide a stage's result, besides the stages before it.
    virtual std::vector<std::string> sections(Stage stage) const;
    /// The file without which the stage cannot be done, whatever stages.json says.
    virtual std::filesystem::path proof(Stage stage) const;

    /// Prepares the cases of recipe.data into folders.cache.
    virtual void prepare() const = 0;
    /// The recipe as the family trains with it. Throws UsageError where it cannot.
    virtual Recipe trainingRecipe() const = 0;
    /// What is trained on.
    virtual std::filesystem::path trainingData() const { return folders_.cache; }
    /// Segments the held-out cases into folders.predictions, and where only slices of them count writes those to
    /// folders.measured.
    virtual void predict() const = 0;
    /// Measures into folders.evaluation. The summary is that of label maps; nothing where a family measures otherwise.
    virtual std::optional<EvaluationSummary> evaluate() const = 0;
    /// Pictures of predictions in folders.report.
    virtual void report() const = 0;

  protected:
    const Recipe& recipe_;
    const RunFolders& folders_;
};

/// The stages of the family that the recipe names. Both arguments must outlive the result.
std::unique_ptr<FamilyStages> familyStages(const Recipe& recipe, const RunFolders& folders);

}  // namespace medseg
