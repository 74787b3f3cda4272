#include "medseg/infer/sam_prompted_model.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/imaging/window.h"
#include "medseg/infer/sam2_prompted_model.h"
#include "medseg/nn/device.h"

namespace medseg {

PromptBatch promptBatch(const std::vector<Prompt>& prompts, const SamFrame& frame) {
    PromptBatch batch;
    if (prompts.empty()) return batch;
    const auto count = static_cast<std::int64_t>(prompts.size());
    const auto points = static_cast<std::int64_t>(prompts.front().points.size());
    std::vector<double> boxes, coordinates;
    std::vector<std::int64_t> labels;
    for (const Prompt& prompt : prompts) {
        if (prompt.box) boxes.insert(boxes.end(), prompt.box->begin(), prompt.box->end());
        for (const PromptPoint& point : prompt.points) {
            coordinates.insert(coordinates.end(), {point.x, point.y});
            labels.push_back(point.inside ? 1 : 0);
        }
    }
    TORCH_CHECK(boxes.empty() || boxes.size() == prompts.size() * 4, "prompts with and without box in one batch");
    TORCH_CHECK(labels.size() == prompts.size() * prompts.front().points.size(), "prompts of different point counts");
    if (!boxes.empty()) batch.boxes = toInputFrame(torch::tensor(boxes, torch::kDouble).view({count, 4}), frame);
    if (points > 0) {
        batch.points = toInputFrame(torch::tensor(coordinates, torch::kDouble).view({count, points, 2}), frame);
        batch.labels = torch::tensor(labels, torch::kLong).view({count, points});
    }
    return batch;
}

SamPromptedModel::SamPromptedModel(LoadedSam loaded, SamStyle style, const torch::Device& device,
                                   ProductPrecision precision)
    : loaded_(std::move(loaded)), style_(style), device_(device), precision_(precision) {
    loaded_.network->to(device_);
}

void SamPromptedModel::setPicture(const PngPixels& picture) {
    const torch::NoGradGuard noGradient;
    frame_ = samFrame(style_, picture.height, picture.width, loaded_.network->shape().imageSize());
    const AutocastScope autocast(precision_, device_);
    embedding_ = loaded_.network->encodeImage(samInput(picture, frame_).to(device_));
}

MaskPrediction SamPromptedModel::lowResolution(const std::vector<Prompt>& prompts, bool multimask,
                                               const torch::Tensor& masks) {
    const torch::NoGradGuard noGradient;
    PromptBatch batch = promptBatch(prompts, frame_);
    if (batch.boxes.defined()) batch.boxes = batch.boxes.to(device_);
    if (batch.points.defined()) {
        batch.points = batch.points.to(device_);
        batch.labels = batch.labels.to(device_);
    }
    batch.masks = masks;
    return loaded_.network->decode(embedding_, batch, multimask);
}

PromptedMasks SamPromptedModel::segment(const std::vector<Prompt>& prompts, bool multimask) {
    const torch::NoGradGuard noGradient;
    MaskPrediction prediction = lowResolution(prompts, multimask);
    if (prediction.iou.size(1) > 1) {
        const torch::Tensor best = prediction.iou.argmax(1);
        const torch::Tensor rows = torch::arange(best.size(0), best.options());
        prediction.masks = prediction.masks.index({rows, best}).unsqueeze(1);
        prediction.iou = prediction.iou.index({rows, best}).unsqueeze(1);
    }
    torch::Tensor scores = maskScores(prediction.masks, frame_);
    if (style_ != SamStyle::Medsam) scores = torch::sigmoid(scores);
    return {scores.squeeze(1).to(torch::kCPU).contiguous(), prediction.iou.squeeze(1).to(torch::kCPU).contiguous()};
}

std::string SamPromptedModel::describe() const {
    const SamShape& shape = loaded_.network->shape();
    const std::string encoder = shape.encoder == SamEncoderKind::TinyVit
                                    ? std::string("TinyViT")
                                    : fmt::format("ViT of {} blocks, width {}", shape.vit.depth, shape.vit.width);
    return fmt::format("SAM ({}), input {} pixels, style {}", encoder, shape.imageSize(), samStyleName(style_));
}

PictureRules SamPromptedModel::pictureRules() const {
    PictureRules rules;
    if (!loaded_.recipe) return rules;
    const PrepareMedsamSettings& prepared = loaded_.recipe->prepareMedsam;
    rules.modality = prepared.modality;
    const Window window{prepared.windowLevel, prepared.windowWidth};
    rules.window = {window.low(), window.high()};
    return rules;
}

TrainingNote SamPromptedModel::trainingNote() const {
    if (!loaded_.recipe) return {loaded_.epochs, "-"};
    const std::string& precision = loaded_.recipe->train.precision;
    const bool full = precision == "fp32" || (precision == "auto" && loaded_.recipe->device == "cpu");
    return {loaded_.epochs, full ? "O0" : "O1"};
}

std::unique_ptr<PromptedModel> openPromptedModel(const std::filesystem::path& path, const std::string& style,
                                                 const std::string& device, const std::string& precision) {
    const torch::Device where = deviceFromName(device);
    const ProductPrecision products = productPrecisionFromName(precision, where);
    if (isSam2File(path)) return std::make_unique<Sam2PromptedModel>(loadSam2(path), where, products);
    LoadedSam loaded = loadSam(path);
    const SamStyle chosen = samStyleFromName(style == "auto" ? loaded.style : style);
    return std::make_unique<SamPromptedModel>(std::move(loaded), chosen, where, products);
}

}  // namespace medseg
