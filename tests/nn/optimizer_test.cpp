#include <gtest/gtest.h>
#include <torch/torch.h>

#include "medseg/train/learning_rate.h"
#include "medseg/train/optimizer.h"

namespace medseg {
namespace {

/// Minimises a fixed quadratic with our optimiser and with torch's; returns the largest difference after `steps`.
template <typename MakeReference>
double differenceFromTorch(const TrainSettings& settings, MakeReference&& makeReference, int steps) {
    torch::manual_seed(5);
    const auto target = torch::randn({7, 3});
    auto ours = torch::zeros({7, 3}).requires_grad_();
    auto theirs = torch::zeros({7, 3}).requires_grad_();
    Optimizer optimizer(settings, {ours});
    auto reference = makeReference(std::vector<torch::Tensor>{theirs});
    for (int i = 0; i < steps; ++i) {
        optimizer.zeroGradients();
        ((ours - target).pow(4).sum() + ours.sum()).backward();
        optimizer.step(settings.learningRate);
        reference->zero_grad();
        ((theirs - target).pow(4).sum() + theirs.sum()).backward();
        reference->step();
    }
    return (ours - theirs).abs().max().template item<double>();
}

TEST(Optimizer, AdamEqualsTorch) {
    TrainSettings settings;
    settings.optimizer = "adam";
    settings.weightDecay = 0.1;
    settings.learningRate = 0.05;
    EXPECT_LT(differenceFromTorch(settings,
                                  [](auto parameters) {
                                      return std::make_unique<torch::optim::Adam>(
                                          parameters, torch::optim::AdamOptions(0.05).weight_decay(0.1));
                                  },
                                  40),
              1e-6);
}

TEST(Optimizer, AdamWEqualsTorch) {
    TrainSettings settings;
    settings.optimizer = "adamw";
    settings.weightDecay = 0.1;
    settings.learningRate = 0.05;
    EXPECT_LT(differenceFromTorch(settings,
                                  [](auto parameters) {
                                      return std::make_unique<torch::optim::AdamW>(
                                          parameters, torch::optim::AdamWOptions(0.05).weight_decay(0.1));
                                  },
                                  40),
              1e-6);
}

TEST(Optimizer, NesterovEqualsTorch) {
    TrainSettings settings;
    settings.optimizer = "sgd";
    settings.weightDecay = 0.01;
    settings.momentum = 0.9;
    settings.learningRate = 0.002;
    EXPECT_LT(differenceFromTorch(settings,
                                  [](auto parameters) {
                                      return std::make_unique<torch::optim::SGD>(parameters,
                                                                                 torch::optim::SGDOptions(0.002)
                                                                                     .momentum(0.9)
                                                                                     .nesterov(true)
                                                                                     .weight_decay(0.01));
                                  },
                                  40),
              1e-5);
}

TEST(Optimizer, ClippingBoundsTheJointNorm) {
    auto a = torch::zeros({2}).requires_grad_(), b = torch::zeros({1}).requires_grad_();
    Optimizer optimizer(TrainSettings{}, {a, b});
    a.mutable_grad() = torch::tensor({3.0F, 0.0F});
    b.mutable_grad() = torch::tensor({4.0F});
    EXPECT_NEAR(optimizer.clipGradients(1.0), 5.0, 1e-6);
    EXPECT_NEAR(a.grad()[0].item<double>(), 0.6, 1e-5);
    EXPECT_NEAR(b.grad()[0].item<double>(), 0.8, 1e-5);
    EXPECT_NEAR(optimizer.clipGradients(10.0), 1.0, 1e-5);
}

TEST(LearningRate, PlateauHalvesAfterPatience) {
    TrainSettings settings;
    settings.schedule = "plateau";
    settings.learningRate = 1;
    settings.plateauPatience = 2;
    LearningRate rate(settings);
    for (const double dice : {0.5, 0.5, 0.4}) rate.onValidation(dice);
    EXPECT_DOUBLE_EQ(rate.at({3, 0, 0}), 1);
    rate.onValidation(0.3);
    EXPECT_DOUBLE_EQ(rate.at({4, 0, 0}), 0.5);
    rate.onValidation(0.6);
    EXPECT_DOUBLE_EQ(rate.at({5, 0, 0}), 0.5);
}

TEST(LearningRate, SchedulesStartPeakAndEndWhereTheyShould) {
    TrainSettings settings;
    settings.epochs = 100;
    settings.learningRate = 0.1;
    settings.schedule = "cosine";
    EXPECT_NEAR(LearningRate(settings).at({50, 0, 0}), 0.05, 1e-12);
    settings.warmupEpochs = 10;
    EXPECT_NEAR(LearningRate(settings).at({5, 0, 0}), 0.5 * 0.05 * (1 + std::cos(M_PI * 0.05)), 1e-9);
    settings.warmupEpochs = 0;
    settings.schedule = "poly";
    EXPECT_NEAR(LearningRate(settings).at({50, 0, 0}), 0.1 * std::pow(0.5, 0.9), 1e-12);
    settings.schedule = "one_cycle";
    EXPECT_NEAR(LearningRate(settings).at({0, 0, 1000}), 0.1 / 25, 1e-12);
    EXPECT_NEAR(LearningRate(settings).at({30, 299, 1000}), 0.1, 1e-12);
    EXPECT_NEAR(LearningRate(settings).at({100, 1000, 1000}), 0.1 / 25e4, 1e-12);
}

}  // namespace
}  // namespace medseg
