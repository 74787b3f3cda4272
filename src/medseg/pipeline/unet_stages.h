// The stages of a run with model.kind unet. Forms of preparation that other programs train on end after that stage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "medseg/dataset/layout.h"
#include "medseg/pipeline/family_stages.h"

namespace medseg {

class UNetStages : public FamilyStages {
  public:
    using FamilyStages::FamilyStages;

    std::vector<Stage> stages() const override;
    void prepare() const override;
    Recipe trainingRecipe() const override;
    void predict() const override;
    std::optional<EvaluationSummary> evaluate() const override;
    void report() const override;

  private:
    /// A held-out case, and (with a split by slice) which slices of it count.
    struct MeasuredCase {
        Case item;
        std::vector<std::int64_t> slices;  ///< of the SlicePlan; empty = the whole volume
    };
    std::vector<MeasuredCase> measuredCases(const Dataset& dataset) const;
    void writeMeasured(const char* side, const std::string& id, const LabelMap& labels,
                       const std::vector<std::int64_t>& slices) const;
};

}  // namespace medseg
