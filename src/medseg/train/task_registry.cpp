#include "medseg/train/task_registry.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/train/promptable_task.h"
#include "medseg/train/sam2_task.h"
#include "medseg/train/segmentation_task.h"

namespace medseg {

std::unique_ptr<TrainingTask> makeTrainingTask(const TrainRequest& request) {
    const std::string& kind = request.recipe.model.kind;
    if (kind == "unet") return std::make_unique<SegmentationTask>(request);
    if (kind == "sam") return std::make_unique<PromptableTask>(request);
    if (kind == "sam2") return std::make_unique<Sam2Task>(request);
    throw UsageError(fmt::format("model.kind: networks of the family {} cannot be trained here", kind));
}

}  // namespace medseg
