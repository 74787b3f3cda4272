// The official configuration files (as JSON) as settings.
#pragma once

#include <nlohmann/json.hpp>

#include "medseg/nn/sam2/settings.h"

namespace medseg::test {

/// `config`: the hyperparameters of a model; keys that are absent have the defaults of the official classes.
inline Sam2Settings settingsFromOfficial(const nlohmann::json& config) {
    Sam2Settings s;
    const auto& encoder = config.at("image_encoder");
    const auto& trunk = encoder.at("trunk");
    s.trunk.embedDim = trunk.at("embed_dim");
    s.trunk.heads = trunk.at("num_heads");
    if (trunk.at("type") == "ViT") {
        s.trunk = Sam2TrunkSettings{};
        s.trunk.kind = "vit";
        s.trunk.embedDim = trunk.at("embed_dim");
        s.trunk.heads = trunk.at("num_heads");
        s.trunk.patch = trunk.at("patch_size");
        s.trunk.depth = trunk.at("depth");
        s.trunk.window = trunk.at("window_size");
        s.trunk.windowedBlocks = trunk.at("window_block_indexes").get<std::vector<std::int64_t>>();
        s.trunk.mlpRatio = trunk.at("mlp_ratio");
    } else {
        using Numbers = std::vector<std::int64_t>;
        s.trunk.stages = trunk.value("stages", Numbers{2, 3, 16, 3});
        s.trunk.globalBlocks = trunk.value("global_att_blocks", Numbers{12, 16, 20});
        s.trunk.windows = trunk.value("window_spec", Numbers{8, 4, 14, 7});
        const Numbers grid = trunk.value("window_pos_embed_bkg_spatial_size", Numbers{14, 14});
        s.trunk.backgroundGrid = {grid.at(0), grid.at(1)};
        s.trunk.queryPools = trunk.value("q_pool", 3);
    }
    s.width = encoder.at("neck").at("d_model");
    s.topDownLevels = encoder.at("neck").value("fpn_top_down_levels", s.topDownLevels);
    s.droppedLevels = encoder.at("scalp");
    s.imageSize = config.at("image_size");
    const auto& attention = config.at("memory_attention");
    const auto& layer = attention.at("layer");
    s.memoryLayers = attention.at("num_layers");
    s.memoryMlp = layer.at("dim_feedforward");
    s.memoryDropout = layer.at("dropout");
    s.rotaryTheta = layer.at("self_attention").at("rope_theta");
    s.memoryHeads = layer.at("self_attention").at("num_heads");
    s.memoryWidth = config.at("memory_encoder").at("out_dim");
    s.fuserLayers = config.at("memory_encoder").at("fuser").at("num_layers");
    s.memoryFrames = config.at("num_maskmem");
    s.memoryMaskScale = config.at("sigmoid_scale_for_mem_enc");
    s.memoryMaskBias = config.at("sigmoid_bias_for_mem_enc");
    s.multimaskMinPoints = config.at("multimask_min_pt_num");
    s.multimaskMaxPoints = config.at("multimask_max_pt_num");
    s.highResolutionFeatures = config.at("use_high_res_features_in_sam");
    s.spatialNoObjectEmbedding = config.value("no_obj_embed_spatial", false);
    s.pointerTimeEncoding = config.value("proj_tpos_enc_in_obj_ptrs", false);
    return s;
}

/// Values that the official code fixes, as config.json of the fixtures lists them.
inline void applyFixedByCode(Sam2Settings& s, const nlohmann::json& fixed) {
    s.decoderDepth = fixed.at("sam_transformer_depth");
    s.decoderHeads = fixed.at("sam_transformer_heads");
    s.decoderMlp = fixed.at("sam_transformer_mlp_dim");
    s.iouHidden = fixed.at("iou_head_hidden_dim");
    s.iouDepth = fixed.at("iou_head_depth");
    s.multimaskOutputs = fixed.at("num_multimask_outputs");
    s.maskInputChannels = fixed.at("mask_in_chans");
    s.trunk.mlpRatio = fixed.at("trunk_mlp_ratio");
    s.trunk.queryStride = fixed.at("trunk_q_stride").at(0);
    s.maxPointers = fixed.at("max_obj_ptrs_in_encoder");
}

/// Flags that the official builders add.
inline void applyPostprocessing(Sam2Settings& s, const nlohmann::json& flags) {
    s.stabilityRule = flags.value("dynamic_multimask_via_stability", false);
    s.stabilityDelta = flags.value("dynamic_multimask_stability_delta", s.stabilityDelta);
    s.stabilityThreshold = flags.value("dynamic_multimask_stability_thresh", s.stabilityThreshold);
    s.binarizePromptedMemory = flags.value("binarize_mask_from_pts_for_mem_enc", false);
    s.fillHoleArea = flags.value("fill_hole_area", 0);
}

}  // namespace medseg::test
