// The structure autoencoder of SAM 3D learns shapes from scratch.
#include "medseg/nn/sam3d/structure_vae.h"

#include <gtest/gtest.h>

#include "medseg/nn/sam3d/reconstruction_loss.h"

namespace medseg {
namespace {

/// Ellipsoids at random places, half of 16^3 wide at most: (8, 1, 16, 16, 16).
torch::Tensor ellipsoids() {
    const auto axis = torch::arange(16).to(torch::kFloat);
    std::vector<torch::Tensor> shapes;
    for (int i = 0; i < 8; ++i) {
        const auto random = torch::rand({4});
        const auto along = [&](std::int64_t a, at::IntArrayRef shape) {
            return (axis - (5.5 + 5 * random[a])).square().view(shape);
        };
        const auto distance = along(0, {16, 1, 1}) + 1.5 * along(1, {1, 16, 1}) + along(2, {1, 1, 16});
        shapes.push_back((distance < (2.5 + 1.5 * random[3]).square()).to(torch::kFloat).unsqueeze(0));
    }
    return torch::stack(shapes);
}

TEST(StructureVae, LearnsShapesFromScratch) {
    torch::manual_seed(1);
    StructureVaeShape shape;
    shape.encoderChannels = {4, 16, 32};
    shape.decoderChannels = {32, 16, 4};
    shape.resBlocks = shape.middleBlocks = 1;
    StructureEncoder encoder(shape);
    StructureDecoder decoder(shape);
    auto parameters = encoder->parameters();
    for (const auto& parameter : decoder->parameters()) parameters.push_back(parameter);
    torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(2e-3));
    for (int step = 0; step < 80; ++step) {
        const auto occupancy = ellipsoids();
        const auto posterior = encoder->forward(occupancy);
        const auto logits = decoder->forward(posterior.sample(torch::randn_like(posterior.mean)));
        const auto loss =
            overlapLoss(logits, occupancy) + 0.001 * normalDivergence(posterior.mean, posterior.logVariance);
        optimizer.zero_grad();
        loss.backward();
        torch::nn::utils::clip_grad_norm_(parameters, 1.0);
        optimizer.step();
    }
    const torch::NoGradGuard noGradient;
    const auto occupancy = ellipsoids();
    EXPECT_GT(overlapOf(decoder->forward(encoder->forward(occupancy).mean) > 0, occupancy > 0.5), 0.7);
}

}  // namespace
}  // namespace medseg
