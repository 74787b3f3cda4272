// From image files and prompts to label files.
#pragma once

#include "medseg/infer/prompted_model.h"

namespace medseg {

/// A prompted segmentation of the slices of one image.
struct PromptedSegmentation {
    LabelMap labels;                      ///< where masks overlap, the more probable one wins
    std::vector<PromptedObject> objects;  ///< as the prompts
    std::int64_t slices = 0;              ///< that had prompts
};

/// Pictures of the slices of an image.
using PictureSource = std::function<PngPixels(std::int64_t slice)>;

/// Each slice with prompts is encoded once; its prompts go through the decoder in batches of up to `batchSize`.
/// `prompts` are ordered by slice. Throws InterruptedError.
PromptedSegmentation segmentPrompted(PromptedModel& model, const Geometry& geometry, const PictureSource& pictures,
                                     const std::vector<Prompt>& prompts, int batchSize, bool multimask,
                                     const std::function<void()>& advance = {});

/// See NetworkModule::predictPrompted.
PromptedOutcome predictPromptedFiles(PromptedModel& model, const PromptedRequest& request);

}  // namespace medseg
