// The structure generator of a fixture: shape, weights and states of its latents.
#pragma once

#include "fixture.h"
#include "medseg/nn/sam3d/structure_flow.h"

namespace medseg::test {

inline StructureFlowShape flowShapeOf(const Json& model) {
    StructureFlowShape shape;
    shape.width = model.at("model_channels");
    shape.conditionWidth = model.at("cond_channels");
    shape.blocks = model.at("num_blocks");
    shape.heads = model.at("num_heads");
    shape.mlpRatio = model.at("mlp_ratio");
    shape.resolution = model.at("resolution");
    shape.headNorm = model.at("qk_rms_norm");
    shape.stepEmbedding = model.at("is_shortcut_model");
    if (model.contains("frequency_embedding_size")) shape.timeFeatures = model.at("frequency_embedding_size");
    const auto channels = model.at("latent_channels").get<std::map<std::string, std::int64_t>>();
    const auto tokensOf = [&](const std::string& name) -> std::int64_t {
        if (model.contains("latent_tokens")) return model.at("latent_tokens").at(name);
        return name == kShapeLatent ? shape.resolution * shape.resolution * shape.resolution : 1;
    };
    // Latents of a stream in the order in which the configuration merges them.
    std::vector<std::string> placed;
    for (const auto& [stream, members] : model.at("latent_share_transformer").items())
        for (const std::string& name : members.get<std::vector<std::string>>()) {
            shape.latents.push_back({name, channels.at(name), tokensOf(name), stream});
            placed.push_back(name);
        }
    for (const auto& [name, count] : channels)
        if (std::find(placed.begin(), placed.end(), name) == placed.end())
            shape.latents.push_back({name, count, tokensOf(name), name});
    return shape;
}

/// Files PREFIX.LATENT.npy.
inline FlowState flowState(const Sam3dFixture& fixture, const StructureFlowShape& shape, const std::string& prefix) {
    FlowState state;
    for (const FlowLatent& latent : shape.latents) state[latent.name] = fixture.tensor(prefix + "." + latent.name);
    return state;
}

inline void expectState(const Sam3dFixture& fixture, const FlowState& actual, const std::string& prefix,
                        double atol = -1) {
    for (const auto& [name, value] : actual) {
        const std::string file = prefix + "." + name;
        fixture.expectClose(value, fixture.tensor(file), file, atol);
    }
}

}  // namespace medseg::test
