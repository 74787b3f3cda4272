// What the sparse sections of the SAM 3D fixtures share.
#pragma once

#include "fixture.h"
#include "medseg/nn/sam3d/sparse_transformer.h"

namespace medseg::test {

inline SparseTransformerShape torsoShapeOf(const Json& hyper) {
    SparseTransformerShape shape;
    shape.inChannels = hyper.contains("latent_channels") ? hyper.at("latent_channels") : hyper.at("in_channels");
    shape.width = hyper.at("model_channels");
    shape.blocks = hyper.at("num_blocks");
    shape.heads = hyper.at("num_heads");
    shape.mlpRatio = hyper.at("mlp_ratio");
    const bool windowed = !hyper.contains("attn_mode") || hyper.at("attn_mode") == "swin";
    shape.window = windowed ? hyper.at("window_size").get<std::int64_t>() : 0;
    if (hyper.contains("qk_rms_norm")) shape.headNorm = hyper.at("qk_rms_norm");
    return shape;
}

inline SparseStructurePointer structureOf(const Sam3dFixture& fixture, const std::string& name = "coords") {
    return std::make_shared<SparseStructure>(fixture.tensor(name));
}

/// Features on a dense grid (batch, channels, x, y, z) of `side` voxels, zero where nothing is.
inline torch::Tensor dense(const torch::Tensor& features, const SparseStructure& structure, std::int64_t side) {
    const auto c = structure.coordinates();
    const std::int64_t batch = c.size(0) == 0 ? 1 : c.select(1, 0).max().item<std::int64_t>() + 1;
    const auto rows = ((c.select(1, 0) * side + c.select(1, 1)) * side + c.select(1, 2)) * side + c.select(1, 3);
    return torch::zeros({batch * side * side * side, features.size(1)}, features.options().requires_grad(false))
        .index_copy(0, rows, features)
        .reshape({batch, side, side, side, features.size(1)})
        .permute({0, 4, 1, 2, 3});
}

/// The occupied voxels of such a grid.
inline torch::Tensor readAt(const torch::Tensor& grid, const SparseStructure& structure) {
    const auto c = structure.coordinates();
    const std::int64_t side = grid.size(2);
    const auto rows = ((c.select(1, 0) * side + c.select(1, 1)) * side + c.select(1, 2)) * side + c.select(1, 3);
    return grid.permute({0, 2, 3, 4, 1}).reshape({-1, grid.size(1)}).index_select(0, rows);
}

inline void expectSameGradients(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b,
                                double rtol = 1e-4) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_EQ(a[i].sizes(), b[i].sizes()) << i;
        const double scale = b[i].abs().max().item<double>();
        EXPECT_LE((a[i] - b[i]).abs().max().item<double>(), rtol * scale + 1e-6) << i;
    }
}

}  // namespace medseg::test
