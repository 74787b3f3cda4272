#include "medseg/pipeline/family_stages.h"

#include "medseg/base/files.h"
#include "medseg/pipeline/medsam_stages.h"
#include "medseg/pipeline/preparation_stage.h"
#include "medseg/pipeline/reconstruction_stages.h"
#include "medseg/pipeline/sam2_stages.h"
#include "medseg/pipeline/unet_stages.h"

namespace medseg {

std::vector<Stage> FamilyStages::stages() const {
    return {kAllStages.begin(), kAllStages.end()};
}

std::vector<std::string> FamilyStages::sections(Stage stage) const {
    switch (stage) {
        case Stage::Generate:
            return {"phantom"};
        case Stage::Prepare:
            return {"data", "prepare", "prepare_medsam", "prepare_sam3d", "prepare_nnunet"};
        case Stage::Train:
            return {"data", "model", "train", "augmentation"};
        case Stage::Predict:
            return {"predict"};
        case Stage::Evaluate:
            return {"evaluate"};
        case Stage::Report:
            return {"report"};
    }
    return {};
}

fs::path FamilyStages::proof(Stage stage) const {
    switch (stage) {
        case Stage::Generate:
            return recipe_.data.root;
        case Stage::Prepare:
            return preparedManifest(recipe_, folders_.cache);
        case Stage::Train:
            return folders_.model / "latest.pth";
        case Stage::Predict:
            return folders_.predictions;
        case Stage::Evaluate:
            return folders_.evaluation / "summary.json";
        case Stage::Report:
            return folders_.report;
    }
    return {};
}

std::unique_ptr<FamilyStages> familyStages(const Recipe& recipe, const RunFolders& folders) {
    const std::string& kind = recipe.model.kind;
    if (kind == "sam") return std::make_unique<MedsamStages>(recipe, folders);
    if (kind == "sam2") return std::make_unique<Sam2Stages>(recipe, folders);
    if (kind == "sam3d") return std::make_unique<ReconstructionStages>(recipe, folders);
    return std::make_unique<UNetStages>(recipe, folders);
}

}  // namespace medseg
