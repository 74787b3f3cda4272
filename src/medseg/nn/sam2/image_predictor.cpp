#include "medseg/nn/sam2/image_predictor.h"

#include "medseg/base/error.h"

namespace medseg {

torch::Tensor normalizeColors(const torch::Tensor& images) {
    const auto options = images.options();
    const torch::Tensor mean = torch::tensor({0.485F, 0.456F, 0.406F}, options).reshape({1, 3, 1, 1});
    const torch::Tensor deviation = torch::tensor({0.229F, 0.224F, 0.225F}, options).reshape({1, 3, 1, 1});
    return (images - mean) / deviation;
}

torch::Tensor imagesToInput(const torch::Tensor& images, std::int64_t side) {
    const bool grey = images.dim() == 3;
    const torch::Tensor channelsFirst = grey ? images.unsqueeze(1) : images.permute({0, 3, 1, 2});
    torch::Tensor scaled = resizeSmoothly(channelsFirst.to(torch::kFloat).contiguous() / 255, side, side);
    return normalizeColors(grey ? scaled.expand({-1, 3, -1, -1}) : scaled);
}

PointPrompt pointPrompt(const std::vector<std::array<float, 4>>& boxes, const std::vector<std::array<float, 2>>& points,
                        const std::vector<int>& labels, std::int64_t height, std::int64_t width,
                        std::int64_t imageSize) {
    if (points.size() != labels.size()) throw UsageError("every point needs a label");
    if (boxes.size() > 1 && !points.empty()) throw UsageError("points can be combined with one box only");
    const std::int64_t objects = boxes.empty() ? 1 : static_cast<std::int64_t>(boxes.size());
    const std::int64_t corners = boxes.empty() ? 0 : 2;
    const auto count = corners + static_cast<std::int64_t>(points.size());
    torch::Tensor xy = torch::empty({objects, count, 2});
    torch::Tensor kinds = torch::empty({objects, count}, torch::kInt);
    auto place = xy.accessor<float, 3>();
    auto kind = kinds.accessor<int, 2>();
    const auto side = static_cast<float>(imageSize);
    const auto set = [&](std::int64_t object, std::int64_t at, float x, float y, int label) {
        place[object][at][0] = x / static_cast<float>(width) * side;
        place[object][at][1] = y / static_cast<float>(height) * side;
        kind[object][at] = label;
    };
    for (std::int64_t object = 0; object < objects; ++object) {
        if (corners > 0) {
            const auto& box = boxes[static_cast<std::size_t>(object)];
            set(object, 0, box[0], box[1], 2);
            set(object, 1, box[2], box[3], 3);
        }
        for (std::size_t i = 0; i < points.size(); ++i)
            set(object, corners + static_cast<std::int64_t>(i), points[i][0], points[i][1], labels[i]);
    }
    return {xy, kinds};
}

void Sam2ImagePredictor::setImage(const torch::Tensor& image) {
    torch::NoGradGuard noGradient;
    height_ = image.size(0);
    width_ = image.size(1);
    const torch::Tensor input = imagesToInput(image.unsqueeze(0), model_->settings().imageSize);
    const ImageFeatures features = model_->encodeImages(input.to(model_->device()));
    embedding_ = model_->withoutMemory(features.embedding);
    features_ = features.highResolution;
}

ImageAnswer Sam2ImagePredictor::predict(const ImagePrompt& prompt) {
    torch::NoGradGuard noGradient;
    if (!embedding_.defined()) throw UsageError("no image has been set");
    if (prompt.points.empty() && prompt.boxes.empty() && !prompt.lowResolution.defined())
        throw UsageError("a box, points or a mask are needed as prompt");
    PromptBatch prompts;
    if (!prompt.points.empty() || !prompt.boxes.empty()) {
        const PointPrompt given =
            pointPrompt(prompt.boxes, prompt.points, prompt.labels, height_, width_, model_->settings().imageSize);
        prompts.points = given.points.to(model_->device());
        prompts.labels = given.labels.to(model_->device());
    }
    if (prompt.lowResolution.defined()) prompts.masks = prompt.lowResolution.unsqueeze(0).to(model_->device());
    const Sam2MaskOutput output = model_->decode(embedding_, features_, prompts, prompt.multimask);
    return {resizeLogits(output.masks, height_, width_), output.ious,
            output.masks.clamp(-kPromptLogitLimit, kPromptLogitLimit)};
}

}  // namespace medseg
