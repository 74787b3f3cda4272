// The stages of a run with model.kind sam2: MedSAM2's way from volumes to Dice.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "medseg/dataset/layout.h"
#include "medseg/dataset/medsam_preparation.h"
#include "medseg/pipeline/pipeline.h"

namespace medseg {

class Sam2Stages {
  public:
    Sam2Stages(const Recipe& recipe, const RunFolders& folders) : recipe_(recipe), folders_(folders) {}

    /// Stages that sam2.mode stands for: both (all), train (up to training), infer (without training).
    static std::vector<Stage> stagesOf(const std::string& mode);

    /// Below folders.cache: labels/CASE.nii.gz with ids in the order of the structures, prompts/CASE.nii.gz without
    /// what the form medsam2 removes, and the files of that form (npz_train, npy). Throws WorkError when a case is
    /// damaged.
    void prepare() const;
    /// The recipe as the training of the npy slices needs it: cases are called as the slice files.
    Recipe trainingRecipe() const;
    /// Propagates the boxes of prompts/CASE.nii.gz (or of lungs) through the held-out cases with the trained model,
    /// else with sam2.checkpoint, and writes what is measured to folders.measured.
    void predict() const;
    /// Dice of every slice, beside the tables of `medseg evaluate`.
    void evaluateSlices() const;
    /// The cases of the data. Where nothing else names the values of label files, data.structures does, in order.
    Dataset dataset() const;
    /// Those that predict() worked on.
    std::vector<Case> measuredCases() const;

  private:
    struct Measured {
        Case item;
        std::vector<std::int64_t> slices;  ///< across the third axis; empty: all
    };
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

    const Recipe& recipe_;
    const RunFolders& folders_;
};

}  // namespace medseg
