#include "medseg/nn/sam2/fine_tuning.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

/// Parameters outside the three big modules that memory works with.
bool belongsToMemory(const std::string& name) {
    const auto startsWith = [&](const char* prefix) { return name.rfind(prefix, 0) == 0; };
    return startsWith("memory_attention.") || startsWith("memory_encoder.") || startsWith("obj_ptr_") ||
           name == "maskmem_tpos_enc" || name == "no_mem_embed" || name == "no_obj_ptr" ||
           name == "no_obj_embed_spatial";
}

bool belongsTo(const std::string& part, const std::string& parameter) {
    if (part == "image_encoder") return parameter.rfind("image_encoder.", 0) == 0;
    if (part == "mask_decoder") return parameter.rfind("sam_mask_decoder.", 0) == 0;
    if (part == "memory") return belongsToMemory(parameter);
    throw UsageError(fmt::format("{} cannot be trained: use image_encoder, mask_decoder, memory", part));
}

/// Boxes (batch, 4) as points of corners.
FramePrompt boxPrompt(const torch::Tensor& boxes) {
    const std::int64_t batch = boxes.size(0);
    FramePrompt prompt;
    prompt.points = boxes.reshape({batch, 2, 2});
    prompt.labels = torch::tensor({2, 3}, torch::kInt).to(boxes.device()).unsqueeze(0).expand({batch, 2});
    return prompt;
}

/// Slice `t` of features of (clips * slices) images.
ImageFeatures sliceOf(const ImageFeatures& all, std::int64_t clips, std::int64_t t) {
    const auto pick = [&](const torch::Tensor& tensor) {
        if (!tensor.defined()) return tensor;
        auto shape = tensor.sizes().vec();
        shape[0] /= clips;
        shape.insert(shape.begin(), clips);
        return tensor.view(shape).select(1, t);
    };
    ImageFeatures one;
    one.embedding = pick(all.embedding);
    one.positions = all.positions;
    one.highResolution = {pick(all.highResolution.stride4), pick(all.highResolution.stride8)};
    return one;
}

/// What slice `t` of a clip remembers, with the rules of Sam2VideoPredictor.
Memory memoryAt(std::int64_t t, const std::vector<torch::Tensor>& memories, const std::vector<torch::Tensor>& pointers,
                const Sam2Settings& settings) {
    Memory memory;
    memory.pointerHorizon = static_cast<double>(settings.maxPointers - 1);
    memory.frames.push_back({memories[0], settings.memoryFrames - 1});
    memory.pointers.push_back({pointers[0], static_cast<double>(t)});
    for (std::int64_t back = std::min(t - 1, settings.memoryFrames - 1); back >= 1; --back)
        memory.frames.push_back({memories[static_cast<std::size_t>(t - back)], back - 1});
    for (std::int64_t back = 1; back < std::min(t, settings.maxPointers); ++back)
        memory.pointers.push_back({pointers[static_cast<std::size_t>(t - back)], static_cast<double>(back)});
    return memory;
}

}  // namespace

void trainOnly(Sam2Impl& network, const std::vector<std::string>& parts) {
    if (parts.empty()) throw UsageError("no part of the network is to be trained: name image_encoder, mask_decoder");
    for (auto& item : network.named_parameters()) {
        bool learns = false;
        for (const std::string& part : parts) learns = belongsTo(part, item.key()) || learns;
        item.value().set_requires_grad(learns);
    }
}

torch::Tensor boxLogits(Sam2Impl& network, const torch::Tensor& images, const torch::Tensor& boxes) {
    const ImageFeatures features = network.encodeImages(images);
    const FramePrompt prompt = boxPrompt(boxes);
    PromptBatch prompts;
    prompts.points = prompt.points;
    prompts.labels = prompt.labels;
    return network.decode(network.withoutMemory(features.embedding), features.highResolution, prompts, false).masks;
}

std::vector<ClipAnswer> trackClips(Sam2Impl& network, const torch::Tensor& images, const torch::Tensor& boxes) {
    const std::int64_t clips = images.size(0), slices = images.size(1);
    const ImageFeatures all = network.encodeImages(images.flatten(0, 1));
    std::vector<ClipAnswer> answers;
    std::vector<torch::Tensor> memories, pointers;
    for (std::int64_t t = 0; t < slices; ++t) {
        const ImageFeatures slice = sliceOf(all, clips, t);
        const torch::Tensor embedding =
            t == 0 ? network.withoutMemory(slice.embedding)
                   : network.attendMemory(slice, memoryAt(t, memories, pointers, network.settings()));
        FrameMask mask =
            network.segmentFrame(embedding, slice.highResolution, t == 0 ? boxPrompt(boxes) : FramePrompt{}, false);
        answers.push_back({mask.maskLogits, mask.objectScore});
        pointers.push_back(mask.pointer);
        if (t + 1 == slices) break;
        mask.lowResolution = mask.maskLogits;
        memories.push_back(network.rememberFrame(slice, mask, t == 0));
    }
    return answers;
}

}  // namespace medseg
