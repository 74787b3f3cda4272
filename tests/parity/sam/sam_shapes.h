// The shapes of the fixture's networks, from its config.json.
#pragma once

#include "medseg/nn/sam/sam.h"
#include "medseg/nn/sam/sam_registry.h"
#include "parity/sam/sam_fixture.h"

namespace medseg::sam_fixture {

inline PromptEncoderShape promptEncoderShape() {
    const auto c = config().at("prompt_encoder");
    PromptEncoderShape shape;
    shape.width = c.at("embed_dim");
    shape.gridHeight = c.at("image_embedding_size").at(0);
    shape.gridWidth = c.at("image_embedding_size").at(1);
    shape.imageHeight = c.at("input_image_size").at(0);
    shape.imageWidth = c.at("input_image_size").at(1);
    shape.maskChannels = c.at("mask_in_chans");
    return shape;
}

inline MaskDecoderShape maskDecoderShape() {
    const auto c = config().at("mask_decoder");
    const auto t = c.at("transformer");
    MaskDecoderShape shape;
    shape.transformer.depth = t.at("depth");
    shape.transformer.width = t.at("embedding_dim");
    shape.transformer.heads = t.at("num_heads");
    shape.transformer.mlpWidth = t.at("mlp_dim");
    shape.transformer.downsample = t.at("attention_downsample_rate");
    shape.multimaskOutputs = c.at("num_multimask_outputs");
    shape.iouHeadDepth = c.at("iou_head_depth");
    shape.iouHeadWidth = c.at("iou_head_hidden_dim");
    return shape;
}

inline ImageEncoderShape imageEncoderShape() {
    const auto c = config().at("image_encoder");
    ImageEncoderShape shape;
    shape.imageSize = c.at("img_size");
    shape.patchSize = c.at("patch_size");
    shape.width = c.at("embed_dim");
    shape.depth = c.at("depth");
    shape.heads = c.at("num_heads");
    shape.mlpWidth = static_cast<std::int64_t>(static_cast<double>(shape.width) * c.at("mlp_ratio").get<double>());
    shape.outChannels = c.at("out_chans");
    shape.window = c.at("window_size");
    shape.globalBlocks = c.at("global_attn_indexes").get<std::vector<std::int64_t>>();
    shape.qkvBias = c.at("qkv_bias");
    shape.absolutePositions = c.at("use_abs_pos");
    shape.relativePositions = c.at("use_rel_pos");
    return shape;
}

/// The prompts of a file stem of prompt/ and decoder/: "box", "boxes3", "points", "points_b2", "mask" and joined.
PromptBatch promptsOf(std::string stem);

}  // namespace medseg::sam_fixture
