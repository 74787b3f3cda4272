// Sparse transformer, submanifold convolution and subdivision against <fixtures>/sam3d/04a and 04b, and their gradients
// against dense layers of torch.
#include "medseg/nn/sam3d/subdivision_block.h"
#include "sparse_fixture.h"

namespace medseg {
namespace {

using test::Json;

/// Group norm over the voxels of each batch item, by torch.
torch::Tensor denseGroupNorm(const torch::Tensor& x, const SparseStructure& structure, std::int64_t groups,
                             const torch::Tensor& weight, const torch::Tensor& bias, double epsilon) {
    std::vector<torch::Tensor> items;
    for (const auto& [first, rows] : structure.items())
        items.push_back(
            torch::group_norm(x.narrow(0, first, rows).t().unsqueeze(0).contiguous(), groups, weight, bias, epsilon)
                .squeeze(0)
                .t());
    return torch::cat(items);
}

torch::Tensor denseConvolution(const torch::Tensor& x, const SparseStructure& structure, const torch::Tensor& weight,
                               const torch::Tensor& bias) {
    const std::int64_t side = structure.coordinates().max().item<std::int64_t>() + 1;
    const auto grid = test::dense(x, structure, side);
    return test::readAt(torch::conv3d(grid, weight.permute({0, 4, 1, 2, 3}), bias, 1, weight.size(1) / 2), structure);
}

TEST(Sam3dSparseTransformer, Windows) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/04a_sparse_transformer");
    const test::Sam3dFixture fixture("04a_sparse_transformer");
    const auto structure = test::structureOf(fixture);
    const SparseTransformerShape shape = test::torsoShapeOf(fixture.hyper());
    EXPECT_TRUE(torch::equal(structure->windowIds(shape.window, 0), fixture.tensor("window_id_shift0")));
    EXPECT_TRUE(
        torch::equal(structure->windowIds(shape.window, shape.window / 2), fixture.tensor("window_id_shifthalf")));
    const auto shifts = fixture.hyper().at("shift_of_block").get<std::vector<std::int64_t>>();
    for (std::size_t i = 0; i < shifts.size(); ++i)
        EXPECT_EQ(shape.shiftOf(static_cast<std::int64_t>(i)), shifts[i]) << i;
}

TEST(Sam3dSparseTransformer, Blocks) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/04a_sparse_transformer");
    const test::Sam3dFixture fixture("04a_sparse_transformer");
    SparseTransformer model(test::torsoShapeOf(fixture.hyper()));
    test::loadWeights(*model, fixture.weights("model.safetensors"), "model");
    const auto structure = test::structureOf(fixture);
    auto x = model->embed(fixture.tensor("feats"), *structure);
    fixture.expectClose(x, "embedded");
    for (std::int64_t i = 0; i < model->shape().blocks; ++i) {
        x = model->runBlock(i, x, *structure);
        const std::string name = "block" + std::to_string(i);
        if (exists(fixture.path(name + ".npy"))) fixture.expectClose(x, name);
    }
    fixture.expectClose(x, "out");
    fixture.expectClose(model->forward(fixture.tensor("feats"), *structure), "out");
}

TEST(Sam3dSparseTransformer, GradientsOfGroupedAttention) {
    MEDSEG_REQUIRE_FIXTURES("sam3d/04a_sparse_transformer");
    const test::Sam3dFixture fixture("04a_sparse_transformer");
    const auto structure = test::structureOf(fixture);
    const SparseTransformerShape shape = test::torsoShapeOf(fixture.hyper());
    torch::manual_seed(1);
    const std::int64_t dim = shape.width / shape.heads;
    std::vector<torch::Tensor> own, masked;
    for (int i = 0; i < 3; ++i) {
        own.push_back(torch::randn({structure->size(), shape.heads, dim}).requires_grad_());
        masked.push_back(own.back().detach().clone().requires_grad_());
    }
    const auto ids = structure->windowIds(shape.window, shape.window / 2);
    const auto actual = groupedAttention(own[0], own[1], own[2], structure->windows(shape.window, shape.window / 2));
    // All against all with a mask.
    const auto head = [](const torch::Tensor& x) { return x.transpose(0, 1); };
    auto logits = torch::matmul(head(masked[0]), head(masked[1]).transpose(1, 2)) / std::sqrt(static_cast<double>(dim));
    logits = logits.masked_fill(ids.unsqueeze(0).ne(ids.unsqueeze(1)), -1e30);
    const auto expected =
        torch::matmul(torch::softmax(logits, -1), head(masked[2])).transpose(0, 1).reshape({structure->size(), -1});
    fixture.expectClose(actual, expected.detach(), "attention", 1e-5, 1e-4);
    const auto weight = torch::randn_like(actual);
    test::expectSameGradients(torch::autograd::grad({(actual * weight).sum()}, own),
                              torch::autograd::grad({(expected * weight).sum()}, masked));
}

class Sam3dSubdivision : public testing::Test {
  protected:
    void SetUp() override {
        MEDSEG_REQUIRE_FIXTURES("sam3d/04b_subdivide");
        fixture_ = std::make_unique<test::Sam3dFixture>("04b_subdivide");
        const Json& hyper = fixture_->hyper();
        block_ = SubdivisionBlock(hyper.at("channels"), hyper.at("out_channels"), hyper.at("num_groups"),
                                  hyper.at("groupnorm_eps"));
        test::loadWeights(*block_, fixture_->weights("model.safetensors"), "model");
        structure_ = test::structureOf(*fixture_);
    }
    std::unique_ptr<test::Sam3dFixture> fixture_;
    SubdivisionBlock block_{nullptr};
    SparseStructurePointer structure_;
};

TEST_F(Sam3dSubdivision, Steps) {
    EXPECT_TRUE(torch::equal(structure_->subdivided()->coordinates(), fixture_->tensor("out_coords")));
    const auto x = fixture_->tensor("feats");
    const auto active = block_->activated(x, *structure_);
    fixture_->expectClose(active, "act");
    fixture_->expectClose(block_->firstConvolution(active, *structure_), "conv0");
    fixture_->expectClose(block_->forward(x, *structure_), "out_feats");
}

TEST_F(Sam3dSubdivision, GradientsAgainstDenseLayers) {
    const Json& hyper = fixture_->hyper();
    const std::int64_t groups = hyper.at("num_groups");
    const double epsilon = hyper.at("groupnorm_eps");
    const auto x = fixture_->tensor("feats").requires_grad_();
    std::vector<torch::Tensor> inputs{x};
    std::map<std::string, torch::Tensor> p;
    for (const auto& item : block_->named_parameters()) {
        p[item.key()] = item.value();
        inputs.push_back(item.value());
    }
    torch::manual_seed(2);
    const auto y = block_->forward(x, *structure_);
    const auto weight = torch::randn_like(y);
    const auto own = torch::autograd::grad({(y * weight).sum()}, inputs);

    const SparseStructure& children = *structure_->subdivided();
    auto h =
        torch::silu(denseGroupNorm(x, *structure_, groups, p["act_layers.0.weight"], p["act_layers.0.bias"], epsilon));
    h = denseConvolution(h.repeat_interleave(8, 0), children, p["out_layers.0.conv.weight"],
                         p["out_layers.0.conv.bias"]);
    h = torch::silu(denseGroupNorm(h, children, groups, p["out_layers.1.weight"], p["out_layers.1.bias"], epsilon));
    h = denseConvolution(h, children, p["out_layers.3.conv.weight"], p["out_layers.3.conv.bias"]);
    auto kept = x.repeat_interleave(8, 0);
    if (p.count("skip_connection.conv.weight") > 0)
        kept = denseConvolution(kept, children, p["skip_connection.conv.weight"], p["skip_connection.conv.bias"]);
    const auto expected = h + kept;
    fixture_->expectClose(y, expected.detach(), "block");
    test::expectSameGradients(own, torch::autograd::grad({(expected * weight).sum()}, inputs));
}

}  // namespace
}  // namespace medseg
