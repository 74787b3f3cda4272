#include "medseg/infer/sam2_prompted_model.h"

#include <fmt/format.h>

#include "medseg/nn/sam2/image_predictor.h"

namespace medseg {

Sam2PromptedModel::Sam2PromptedModel(LoadedSam2 loaded, const torch::Device& device, ProductPrecision precision)
    : loaded_(std::move(loaded)), precision_(precision) {
    loaded_.network->to(device);
}

void Sam2PromptedModel::setPicture(const PngPixels& picture) {
    torch::NoGradGuard noGradient;
    height_ = picture.height;
    width_ = picture.width;
    std::vector<std::int64_t> shape{1, height_, width_};
    if (picture.channels > 1) shape.push_back(picture.channels);
    const torch::Tensor bytes = torch::from_blob(const_cast<std::uint8_t*>(picture.bytes.data()), shape, torch::kByte);
    Sam2& network = loaded_.network;
    const torch::Tensor input = imagesToInput(bytes, network->settings().imageSize);
    const AutocastScope autocast(precision_, network->device());
    const ImageFeatures features = network->encodeImages(input.to(network->device()));
    embedding_ = network->withoutMemory(features.embedding);
    features_ = features.highResolution;
}

PromptBatch Sam2PromptedModel::batchOf(const std::vector<Prompt>& prompts) const {
    const auto count = static_cast<std::int64_t>(prompts.size());
    const std::int64_t corners = prompts.front().box ? 2 : 0;
    const std::int64_t points = corners + static_cast<std::int64_t>(prompts.front().points.size());
    torch::Tensor xy = torch::empty({count, points, 2});
    torch::Tensor kinds = torch::empty({count, points}, torch::kInt);
    auto place = xy.accessor<float, 3>();
    auto kind = kinds.accessor<int, 2>();
    const auto side = static_cast<double>(loaded_.network->settings().imageSize);
    for (std::int64_t i = 0; i < count; ++i) {
        const Prompt& prompt = prompts[static_cast<std::size_t>(i)];
        std::int64_t next = 0;
        const auto add = [&](double x, double y, int label) {
            place[i][next][0] = static_cast<float>(x / static_cast<double>(width_) * side);
            place[i][next][1] = static_cast<float>(y / static_cast<double>(height_) * side);
            kind[i][next++] = label;
        };
        if (prompt.box) {
            add((*prompt.box)[0], (*prompt.box)[1], 2);
            add((*prompt.box)[2], (*prompt.box)[3], 3);
        }
        for (const PromptPoint& point : prompt.points) add(point.x, point.y, point.inside ? 1 : 0);
    }
    PromptBatch batch;
    batch.points = xy.to(loaded_.network->device());
    batch.labels = kinds.to(loaded_.network->device());
    return batch;
}

PromptedMasks Sam2PromptedModel::segment(const std::vector<Prompt>& prompts, bool multimask) {
    torch::NoGradGuard noGradient;
    const Sam2MaskOutput output = loaded_.network->decode(embedding_, features_, batchOf(prompts), multimask);
    const torch::Tensor best = output.ious.argmax(1);
    const torch::Tensor rows = torch::arange(output.masks.size(0), best.options());
    const torch::Tensor masks = output.masks.index({rows, best}).unsqueeze(1);
    PromptedMasks result;
    result.scores = torch::sigmoid(resizeLogits(masks, height_, width_)).squeeze(1).to(torch::kCPU).contiguous();
    result.iou = output.ious.index({rows, best}).to(torch::kCPU).contiguous();
    return result;
}

std::string Sam2PromptedModel::describe() const {
    return fmt::format("{}: SAM 2, input {} pixels", loaded_.file.string(), loaded_.network->settings().imageSize);
}

TrainingNote Sam2PromptedModel::trainingNote() const {
    return {};
}

PictureRules Sam2PromptedModel::pictureRules() const {
    PictureRules rules;
    if (loaded_.recipe) {
        rules.modality = "CT";
        rules.window = windowLimits(loaded_.recipe->prepareMedsam);
    }
    return rules;
}

}  // namespace medseg
