#include "medseg/nn/sam2/sam2.h"

#include <cmath>

namespace medseg {
namespace {

/// A mask that the user gives becomes logits of +-10.
constexpr double kGivenMaskScale = 20.0;
constexpr double kGivenMaskBias = -10.0;

std::int64_t bytesOf(const torch::Tensor& tensor) {
    return tensor.defined() ? static_cast<std::int64_t>(tensor.nbytes()) : 0;
}

/// (1, c, h, w) to (h w, 1, c).
torch::Tensor asSequence(const torch::Tensor& map) {
    return map.flatten(2).permute({2, 0, 1});
}

}  // namespace

std::int64_t ImageFeatures::bytes() const {
    return bytesOf(embedding) + bytesOf(highResolution.stride4) + bytesOf(highResolution.stride8);
}

torch::Tensor resizeLogits(const torch::Tensor& logits, std::int64_t height, std::int64_t width) {
    if (logits.size(2) == height && logits.size(3) == width) return logits;
    return torch::upsample_bilinear2d(logits, {height, width}, false);
}

torch::Tensor resizeSmoothly(const torch::Tensor& images, std::int64_t height, std::int64_t width) {
    if (images.size(2) == height && images.size(3) == width) return images;
    return torch::_upsample_bilinear2d_aa(images, {height, width}, false);
}

Sam2Impl::Sam2Impl(const Sam2Settings& settings) : settings_(settings) {
    checkSam2Settings(settings);
    const Sam2Settings& s = settings_;
    const auto parameter = [&](const char* name, std::vector<std::int64_t> shape) {
        return register_parameter(name, torch::nn::init::normal_(torch::empty(shape), 0.0, 0.02));
    };
    maskTimeCode_ = parameter("maskmem_tpos_enc", {s.memoryFrames, 1, 1, s.memoryWidth});
    noMemory_ = parameter("no_mem_embed", {1, 1, s.width});
    noMemoryPositions_ = parameter("no_mem_pos_enc", {1, 1, s.width});
    noObjectPointer_ = parameter("no_obj_ptr", {1, s.width});
    if (s.spatialNoObjectEmbedding) noObjectFeatures_ = parameter("no_obj_embed_spatial", {1, s.memoryWidth});
    imageEncoder = register_module("image_encoder", Sam2ImageEncoder(s));
    maskDownsample_ =
        register_module("mask_downsample", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 4).stride(4)));
    memoryAttention = register_module("memory_attention", MemoryAttention(s));
    memoryEncoder = register_module("memory_encoder", MemoryEncoder(s));
    PromptEncoderShape prompts;
    prompts.width = s.width;
    prompts.gridHeight = prompts.gridWidth = s.gridSize();
    prompts.imageHeight = prompts.imageWidth = s.imageSize;
    prompts.maskChannels = s.maskInputChannels;
    promptEncoder = register_module("sam_prompt_encoder", PromptEncoder(prompts));
    maskDecoder = register_module("sam_mask_decoder", Sam2MaskDecoder(s));
    pointerProjection_ = register_module("obj_ptr_proj", LayeredMlp(s.width, s.width, s.width, 3));
    if (s.pointerTimeEncoding)
        pointerTimeProjection_ = register_module("obj_ptr_tpos_proj", Linear(s.width, s.memoryWidth));
}

ImageFeatures Sam2Impl::encodeImages(const torch::Tensor& images) {
    const NeckFeatures neck = imageEncoder->forward(images);
    ImageFeatures features;
    features.embedding = neck.maps.back();
    features.positions = neck.positions.back();
    if (settings_.highResolutionFeatures) features.highResolution = maskDecoder->reduce(neck.maps[0], neck.maps[1]);
    return features;
}

torch::Tensor Sam2Impl::withoutMemory(const torch::Tensor& embedding) const {
    return embedding + noMemory_.reshape({1, -1, 1, 1});
}

Sam2MaskOutput Sam2Impl::decode(const torch::Tensor& embedding, const HighResolutionFeatures& features,
                                const PromptBatch& prompts, bool multimask) {
    return maskDecoder->forward(embedding, promptEncoder->gridPosition(), promptEncoder->forward(prompts), features,
                                multimask);
}

bool Sam2Impl::isAmbiguous(std::int64_t points) const {
    return points >= settings_.multimaskMinPoints && points <= settings_.multimaskMaxPoints;
}

torch::Tensor Sam2Impl::maskedPointer(const torch::Tensor& pointer, const torch::Tensor& present) const {
    const torch::Tensor there = present.to(pointer.dtype());
    return there * pointer + (1 - there) * noObjectPointer_;
}

FrameMask Sam2Impl::segmentFrame(const torch::Tensor& embedding, const HighResolutionFeatures& features,
                                 const FramePrompt& prompt, bool multimask) {
    PromptBatch prompts;
    // Without points: one that is none, so that the object is looked for.
    const std::int64_t frames = embedding.size(0);
    prompts.points = prompt.points.defined() ? prompt.points : torch::zeros({frames, 1, 2}, embedding.options());
    prompts.labels = prompt.labels.defined()
                         ? prompt.labels
                         : torch::full({frames, 1}, -1, torch::TensorOptions(torch::kInt).device(embedding.device()));
    prompts.masks = prompt.mask;
    const Sam2MaskOutput output = decode(embedding, features, prompts, multimask);
    const torch::Tensor present = output.objectScore > 0;
    torch::Tensor masks = output.masks;
    torch::Tensor token = output.tokens.select(1, 0);
    if (multimask) {
        const std::int64_t best = output.ious.argmax(-1).item<std::int64_t>();
        masks = masks.slice(1, best, best + 1);
        token = output.tokens.select(1, best);
    }
    const torch::Tensor shown =
        torch::where(present.unsqueeze(-1).unsqueeze(-1), masks, torch::full({}, kAbsentLogit, masks.options()));
    return {shown, maskedPointer(pointerProjection_->forward(token), present), output.objectScore, masks};
}

FrameMask Sam2Impl::adoptMask(const ImageFeatures& frame, const torch::Tensor& mask) {
    const torch::Tensor given = mask.to(frame.embedding.options());
    const torch::Tensor logits = given * kGivenMaskScale + kGivenMaskBias;
    FramePrompt prompt;
    prompt.mask = maskDownsample_->forward(given);
    const FrameMask answer = segmentFrame(frame.embedding, frame.highResolution, prompt, false);
    const torch::Tensor present = (given.flatten(1) > 0).any(1).unsqueeze(1);
    FrameMask result;
    result.lowResolution = resizeSmoothly(logits, logits.size(2) / 4, logits.size(3) / 4);
    result.pointer = maskedPointer(answer.pointer, present);
    result.objectScore = present.to(given.dtype()) * kGivenMaskScale + kGivenMaskBias;
    return result;
}

torch::Tensor Sam2Impl::memoryPositions() const {
    const std::int64_t g = settings_.gridSize();
    return sinePositions2d(settings_.memoryWidth, g, g, maskTimeCode_.options().requires_grad(false));
}

torch::Tensor Sam2Impl::pointerTokens(const torch::Tensor& pointers) const {
    const std::int64_t pieces = settings_.width / settings_.memoryWidth;
    return pointers.reshape({pointers.size(0), pointers.size(1), pieces, settings_.memoryWidth})
        .permute({0, 2, 1, 3})
        .flatten(0, 1);
}

torch::Tensor Sam2Impl::pointerSines(const std::vector<double>& distances, double horizon) const {
    std::vector<float> values;
    for (const double distance : distances)
        values.push_back(static_cast<float>(distance) / static_cast<float>(horizon));
    return sinePositions1d(torch::tensor(values).to(maskTimeCode_.device()), settings_.width);
}

torch::Tensor Sam2Impl::pointerTimes(const std::vector<double>& distances, double horizon) {
    const std::int64_t pieces = settings_.width / settings_.memoryWidth;
    const auto count = static_cast<std::int64_t>(distances.size());
    if (!pointerTimeProjection_)
        return torch::zeros({count * pieces, 1, settings_.memoryWidth}, maskTimeCode_.options());
    const torch::Tensor codes = pointerTimeProjection_->forward(pointerSines(distances, horizon));
    return codes.unsqueeze(1).repeat_interleave(pieces, 0);
}

torch::Tensor Sam2Impl::attendMemory(const ImageFeatures& frame, const Memory& memory) {
    std::vector<torch::Tensor> tokens;
    std::vector<torch::Tensor> positions;
    const torch::Tensor places = asSequence(memoryPositions());
    for (const MemoryFrame& remembered : memory.frames) {
        tokens.push_back(asSequence(remembered.features.to(frame.embedding.dtype())));
        positions.push_back(places + maskTimeCode_[remembered.slot]);
    }
    std::int64_t pointerCount = 0;
    if (!memory.pointers.empty()) {
        std::vector<torch::Tensor> pointers;
        std::vector<double> distances;
        for (const MemoryPointer& pointer : memory.pointers) {
            pointers.push_back(pointer.pointer);
            distances.push_back(pointer.distance);
        }
        tokens.push_back(pointerTokens(torch::stack(pointers, 0)));
        positions.push_back(pointerTimes(distances, memory.pointerHorizon));
        pointerCount = tokens.back().size(0);
    }
    const torch::Tensor attended =
        memoryAttention->forward(asSequence(frame.embedding), asSequence(frame.positions), torch::cat(tokens, 0),
                                 torch::cat(positions, 0), pointerCount);
    return attended.permute({1, 2, 0}).reshape(frame.embedding.sizes());
}

torch::Tensor Sam2Impl::encodeMemory(const torch::Tensor& embedding, const torch::Tensor& logits,
                                     const torch::Tensor& objectScore, bool prompted) {
    const bool binary = prompted && settings_.binarizePromptedMemory && !is_training();
    const torch::Tensor mask = binary ? (logits > 0).to(logits.dtype()) : torch::sigmoid(logits);
    torch::Tensor memory =
        memoryEncoder->forward(embedding, mask * settings_.memoryMaskScale + settings_.memoryMaskBias);
    if (noObjectFeatures_.defined()) {
        const torch::Tensor absent = (objectScore <= 0).to(memory.dtype()).reshape({-1, 1, 1, 1});
        memory = memory + absent * noObjectFeatures_.reshape({1, -1, 1, 1});
    }
    return memory;
}

torch::Tensor Sam2Impl::rememberFrame(const ImageFeatures& frame, const FrameMask& mask, bool prompted) {
    const torch::Tensor logits = resizeLogits(mask.lowResolution, settings_.imageSize, settings_.imageSize);
    return encodeMemory(frame.embedding, logits, mask.objectScore, prompted);
}

}  // namespace medseg
