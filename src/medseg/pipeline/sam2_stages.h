// The stages of a run with model.kind sam2: MedSAM2's way from volumes to Dice.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "medseg/dataset/layout.h"
#include "medseg/dataset/medsam_preparation.h"
#include "medseg/pipeline/family_stages.h"

namespace medseg {

class Sam2Stages : public FamilyStages {
  public:
    using FamilyStages::FamilyStages;

    /// Those that sam2.mode stands for: both (all), train (up to training), infer (without training).
    std::vector<Stage> stages() const override;
    std::vector<std::string> sections(Stage stage) const override;
    /// Below folders.cache: labels/CASE.nii.gz with ids in the order of the structures, prompts/CASE.nii.gz without
    /// what the form medsam2 removes, and the files of that form (npz_train, npy). Throws WorkError when a case is
    /// damaged.
    void prepare() const override;
    /// The recipe as the training of the npy slices needs it: cases are called as the slice files.
    Recipe trainingRecipe() const override;
    /// Propagates the boxes of prompts/CASE.nii.gz (or of lungs) through the held-out cases with the trained model,
    /// else with sam2.checkpoint, and writes what is measured to folders.measured.
    void predict() const override;
    /// The tables of `medseg evaluate`, and the Dice of every slice.
    std::optional<EvaluationSummary> evaluate() const override;
    void report() const override;

  private:
    struct Measured {
        Case item;
        std::vector<std::int64_t> slices;  ///< across the third axis; empty: all
    };
    /// The cases of the data. Where nothing else names the values of label files, data.structures does, in order.
    Dataset dataset() const;
    void evaluateSlices() const;
    MedsamSettings preparation() const;
    void writeLabels(const Dataset& dataset, const Case& item, const MedsamLabelRules& rules) const;
    std::vector<Measured> measured(const Dataset& dataset) const;
    std::vector<Measured> measuredSlices(const Dataset& dataset) const;
    std::filesystem::path labelFile(const std::string& id) const {
        return folders_.cache / "labels" / (id + ".nii.gz");
    }
    std::filesystem::path promptFile(const std::string& id) const {
        return folders_.cache / "prompts" / (id + ".nii.gz");
    }
};

}  // namespace medseg
