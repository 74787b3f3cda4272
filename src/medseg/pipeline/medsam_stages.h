// The stages of a run with model.kind sam: SAM and MedSAM. Prompted networks are measured from the boxes of the
// reference, so that prediction and report are part of the evaluation.
#pragma once

#include "medseg/pipeline/family_stages.h"

namespace medseg {

class MedsamStages : public FamilyStages {
  public:
    using FamilyStages::FamilyStages;

    std::vector<Stage> stages() const override;
    bool has(Stage stage) const override;
    std::vector<std::string> sections(Stage stage) const override;
    /// The form medsam with .npy slices of the network's size, see prepareForm(). Does nothing when data.root holds
    /// slices.
    void prepare() const override;
    Recipe trainingRecipe() const override { return recipe_; }
    /// Where the slices lie: data.root when it already holds imgs and gts, else the cache.
    std::filesystem::path trainingData() const override;
    void predict() const override {}
    /// Measures the trained network on the test cases (npz_test); without any, on what split.json held out of training.
    /// Writes tables and pictures, and has no summary of label maps.
    std::optional<EvaluationSummary> evaluate() const override;
    void report() const override {}
};

}  // namespace medseg
