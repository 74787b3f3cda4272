// The structure autoencoder against <fixtures>/sam3d/01_ss_vae.
#include "medseg/nn/sam3d/structure_vae.h"

#include "fixture.h"

namespace medseg {
namespace {

using test::Json;

class Sam3dStructureVae : public testing::Test {
  protected:
    void SetUp() override {
        MEDSEG_REQUIRE_FIXTURES("sam3d/01_ss_vae");
        fixture_ = std::make_unique<test::Sam3dFixture>("01_ss_vae");
        const Json& hyper = fixture_->hyper();
        StructureVaeShape shape;
        shape.occupancyChannels = hyper.at("in_channels");
        shape.latentChannels = hyper.at("latent_channels");
        shape.encoderChannels = hyper.at("encoder_channels").get<std::vector<int>>();
        shape.decoderChannels = hyper.at("decoder_channels").get<std::vector<int>>();
        shape.resBlocks = hyper.at("num_res_blocks");
        shape.middleBlocks = hyper.at("num_res_blocks_middle");
        shape.headNorm = hyper.at("norm_type");
        encoder_ = StructureEncoder(shape);
        decoder_ = StructureDecoder(shape);
        test::loadWeights(*encoder_, fixture_->weights("encoder.safetensors"), "encoder");
        test::loadWeights(*decoder_, fixture_->weights("decoder.safetensors"), "decoder");
        for (torch::nn::Module* network :
             {static_cast<torch::nn::Module*>(encoder_.get()), static_cast<torch::nn::Module*>(decoder_.get())})
            network->eval();
    }
    std::unique_ptr<test::Sam3dFixture> fixture_;
    StructureEncoder encoder_{nullptr};
    StructureDecoder decoder_{nullptr};
};

TEST_F(Sam3dStructureVae, Encoder) {
    const auto posterior = encoder_->forward(fixture_->tensor("occupancy"));
    fixture_->expectClose(posterior.mean, "mean");
    fixture_->expectClose(posterior.logVariance, "logvar");
    fixture_->expectClose(posterior.sample(fixture_->tensor("eps")), "z_sampled");
    fixture_->expectClose(latentToTokens(posterior.mean), "mean_tokens");
    EXPECT_TRUE(torch::equal(tokensToLatent(latentToTokens(posterior.mean)), posterior.mean));
}

TEST_F(Sam3dStructureVae, Decoder) {
    fixture_->expectClose(decoder_->forward(fixture_->tensor("dec_z")), "dec_logits");
    fixture_->expectClose(decoder_->forward(fixture_->tensor("mean")), "roundtrip_logits");
    const auto active = activeVoxels(fixture_->tensor("dec_logits"));
    EXPECT_TRUE(torch::equal(active, fixture_->tensor("active_coords")));
}

TEST_F(Sam3dStructureVae, Gradients) {
    const Json expected = fixture_->json("grad.json");
    const auto occupancy = fixture_->tensor("occupancy");
    const auto logits = decoder_->forward(encoder_->forward(occupancy).mean);
    const auto loss = torch::binary_cross_entropy_with_logits(logits, occupancy);
    const double wanted = expected.at("bce_loss");
    EXPECT_NEAR(loss.item<double>(), wanted, fixture_->tolerance("atol") + fixture_->tolerance("rtol") * wanted);
    loss.backward();
    const double rtol = fixture_->tolerance("gradient_rtol");
    std::size_t compared = 0;
    const auto compare = [&](const torch::nn::Module& network, const std::string& prefix) {
        for (const auto& item : network.named_parameters()) {
            const auto norm = expected.at("grad_norm").find(prefix + item.key());
            if (norm == expected.at("grad_norm").end()) continue;
            EXPECT_NEAR(item.value().grad().norm().item<double>(), norm->get<double>(), rtol * norm->get<double>())
                << prefix << item.key();
            ++compared;
        }
    };
    compare(*encoder_, "encoder.");
    compare(*decoder_, "decoder.");
    EXPECT_EQ(compared, expected.at("grad_norm").size());
}

}  // namespace
}  // namespace medseg
