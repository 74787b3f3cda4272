#include "medseg/nn/sam3d/structure_flow.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/nn/matrix_product.h"
#include "medseg/nn/sam3d/flow_block.h"

namespace medseg {
namespace {

constexpr const char* kPoseStream = "6drotation_normalized";
constexpr double kOutputEpsilon = 1e-5;

/// The stream names of `x`, in the order of the shape.
std::vector<std::string> presentStreams(const StructureFlowShape& shape, const FlowState& x) {
    std::vector<std::string> streams;
    for (const std::string& stream : shape.streams()) {
        const bool present = std::any_of(shape.latents.begin(), shape.latents.end(), [&](const FlowLatent& latent) {
            return latent.stream == stream && x.contains(latent.name);
        });
        if (present) streams.push_back(stream);
    }
    return streams;
}

void checkShape(const StructureFlowShape& shape) {
    if (shape.heads < 1 || shape.width % shape.heads != 0)
        throw UsageError(fmt::format("{} heads do not divide the generator's width {}", shape.heads, shape.width));
    const bool hasShape = std::any_of(shape.latents.begin(), shape.latents.end(),
                                      [](const FlowLatent& latent) { return latent.name == kShapeLatent; });
    if (!hasShape) throw UsageError("the structure generator needs the latent \"shape\"");
}

}  // namespace

std::vector<std::string> StructureFlowShape::streams() const {
    std::vector<std::string> names{kShapeLatent};
    for (const FlowLatent& latent : latents)
        if (std::find(names.begin(), names.end(), latent.stream) == names.end()) names.push_back(latent.stream);
    return names;
}

std::vector<FlowLatent> shapeLatentOnly(std::int64_t resolution, std::int64_t shapeChannels) {
    return {{kShapeLatent, shapeChannels, resolution * resolution * resolution, kShapeLatent}};
}

std::vector<FlowLatent> releasedLatents(std::int64_t resolution, std::int64_t shapeChannels) {
    std::vector<FlowLatent> latents = shapeLatentOnly(resolution, shapeChannels);
    latents.push_back({kPoseStream, 6, 1, kPoseStream});
    latents.push_back({"translation", 3, 1, kPoseStream});
    latents.push_back({"scale", 3, 1, kPoseStream});
    latents.push_back({"translation_scale", 1, 1, kPoseStream});
    return latents;
}

StructureFlowImpl::StructureFlowImpl(const StructureFlowShape& shape) : shape_(shape) {
    checkShape(shape);
    timeEmbedder_ = register_module("t_embedder", TimeEmbedder(shape.width, shape.timeFeatures));
    if (shape.stepEmbedding)
        stepEmbedder_ = register_module("d_embedder", TimeEmbedder(shape.width, shape.timeFeatures));
    const auto blocks = register_module("blocks", std::make_shared<torch::nn::Module>());
    const FlowBlockShape blockShape{shape.width, shape.conditionWidth, shape.heads, shape.mlpRatio, shape.headNorm};
    for (std::int64_t i = 0; i < shape.blocks; ++i) {
        blocks_.push_back(std::make_shared<FlowBlockImpl>(blockShape, shape.streams()));
        blocks->register_module(std::to_string(i), blocks_.back());
    }
    const auto mapping = register_module("latent_mapping", std::make_shared<torch::nn::Module>());
    torch::NoGradGuard noGradient;
    for (const FlowLatent& latent : shape.latents) {
        const auto module = mapping->register_module(latent.name, std::make_shared<torch::nn::Module>());
        LatentLayers& layers = latents_[latent.name];
        layers.input = module->register_module("input_layer", Linear(latent.channels, shape.width));
        layers.output = module->register_module("out_layer", Linear(shape.width, latent.channels));
        // Training from scratch starts with velocity 0.
        layers.output->weight.zero_();
        layers.output->bias.zero_();
        layers.position =
            latent.name == kShapeLatent
                ? module->register_buffer("pos_emb", cubePositions(shape.resolution, shape.width))
                : module->register_parameter("pos_emb", torch::randn({latent.tokens, shape.width}) * 0.02);
    }
}

FlowCondition StructureFlowImpl::prepareCondition(const torch::Tensor& tokens, bool withPose) {
    FlowCondition condition;
    for (const auto& block : blocks_) condition.blocks.push_back(block->prepareCondition(tokens, withPose));
    return condition;
}

FlowCondition StructureFlowImpl::emptyCondition(std::int64_t batch, bool withPose) {
    const auto options = timeEmbedder_->parameters().front().options().requires_grad(false);
    return prepareCondition(torch::zeros({batch, 1, shape_.conditionWidth}, options), withPose);
}

FlowState StructureFlowImpl::streamTokens(const FlowState& x) {
    std::map<std::string, std::vector<torch::Tensor>> parts;
    for (const FlowLatent& latent : shape_.latents) {
        const auto found = x.find(latent.name);
        if (found == x.end()) continue;
        const LatentLayers& layers = latents_.at(latent.name);
        parts[latent.stream].push_back(layers.input->forward(found->second) + layers.position);
    }
    FlowState streams;
    for (auto& [stream, tensors] : parts)
        streams[stream] = tensors.size() == 1 ? tensors.front() : torch::cat(tensors, 1);
    return streams;
}

FlowState StructureFlowImpl::runBlock(std::size_t index, const FlowState& streams, const torch::Tensor& embedding,
                                      const FlowCondition& condition) {
    return blocks_.at(index)->forward(streams, embedding, condition.blocks.at(index));
}

FlowState StructureFlowImpl::velocity(const FlowState& x, const torch::Tensor& t, const std::optional<torch::Tensor>& d,
                                      const FlowCondition& condition) {
    if (presentStreams(shape_, x).empty()) throw UsageError("no latent to compute a velocity of");
    torch::Tensor embedding = timeEmbedding(t);
    if (d && shape_.stepEmbedding) embedding = embedding + stepEmbedding(*d);
    FlowState streams = streamTokens(x);
    for (std::size_t i = 0; i < blocks_.size(); ++i) streams = runBlock(i, streams, embedding, condition);
    return outputs(x, streams);
}

FlowState StructureFlowImpl::outputs(const FlowState& x, const FlowState& streams) {
    FlowState result;
    std::map<std::string, std::int64_t> next;  // first token of the next latent in each stream
    for (const FlowLatent& latent : shape_.latents) {
        if (!x.contains(latent.name)) continue;
        std::int64_t& start = next[latent.stream];
        const auto tokens = streams.at(latent.stream).narrow(1, start, latent.tokens);
        start += latent.tokens;
        result[latent.name] =
            latents_.at(latent.name).output->forward(torch::layer_norm(tokens, {shape_.width}, {}, {}, kOutputEpsilon));
    }
    return result;
}

}  // namespace medseg
