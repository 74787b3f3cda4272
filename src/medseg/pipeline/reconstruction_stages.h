// The stages of a run with model.kind sam3d: shapes from single slices.
#pragma once

#include "medseg/pipeline/family_stages.h"

namespace medseg {

class ReconstructionStages : public FamilyStages {
  public:
    using FamilyStages::FamilyStages;

    /// Nothing is generated or prepared where sam3d.slices names a folder that already is.
    bool has(Stage stage) const override;
    std::vector<std::string> sections(Stage stage) const override;
    std::filesystem::path proof(Stage stage) const override;
    void prepare() const override;
    /// Throws UsageError for another form of preparation than sam3d.
    Recipe trainingRecipe() const override;
    /// Reconstructs the held-out cases.
    void predict() const override;
    /// Compares with the distances that were prepared and writes metrics.json: every object of every held-out case,
    /// statistics over all and by label, the definitions, and beside the network two baselines: the mask of the given
    /// slice extruded across the whole volume, and the mean shape of the training cases. Has no summary of label maps.
    std::optional<EvaluationSummary> evaluate() const override;
    /// Overlays and comparison grids (image, reference, prediction, difference) for the three planes, surfaces of
    /// reference and prediction as OBJ (decoded ones where there are some), both in 3D as HTML. At most
    /// recipe.report.overlays cases.
    void report() const override;
};

}  // namespace medseg
