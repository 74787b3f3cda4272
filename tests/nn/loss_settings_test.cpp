// From recipe keys to loss options and class weights, with values worked out by hand.
#include "medseg/train/loss_settings.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;

const LabelTable kLabels = LabelTable::fromNames({"liver", "spleen", "aorta", "absent"});

/// 10 slices of 100 pixels: liver 200 pixels in 8 slices, spleen 50 in 4, aorta 2 in 1.
StructureStatistics statistics() {
    StructureStatistics s;
    s.pixels = {748, 200, 50, 2, 0};
    s.slices = {10, 8, 4, 1, 0};
    s.sliceCount = 10;
    s.pixelCount = 1000;
    return s;
}

std::string messageOf(const std::function<void()>& action) {
    try {
        action();
    } catch (const UsageError& error) {
        return error.what();
    }
    return "no error";
}

TEST(ClassWeights, AreEmptyWhenAllAreOne) {
    EXPECT_TRUE(classWeights({}, kLabels, statistics(), OutputKind::Sigmoid).empty());
}

TEST(ClassWeights, InverseIsMedianOverOwnFrequencyWithinLimits) {
    TrainSettings settings;
    settings.classWeights = "inverse";
    // Frequencies 0.2, 0.05, 0.002: median 0.05; 0.05 / 0.002 = 25 is cut to 20; the absent one stays 1.
    EXPECT_THAT(classWeights(settings, kLabels, statistics(), OutputKind::Sigmoid),
                ElementsAre(FloatNear(0.25F, 1e-6F), FloatNear(1, 1e-6F), FloatNear(20, 1e-5F), 1.0F));
}

TEST(ClassWeights, LogAndEffectiveHaveMeanOne) {
    TrainSettings settings;
    settings.classWeights = "log";
    const double liver = 1 / std::log(1.22), spleen = 1 / std::log(1.07), aorta = 1 / std::log(1.022);
    const double background = 1 / std::log(1.768), sum = liver + spleen + aorta + background;
    EXPECT_THAT(classWeights(settings, kLabels, statistics(), OutputKind::Softmax),
                ElementsAre(FloatNear(static_cast<float>(4 * background / sum), 1e-5F),
                            FloatNear(static_cast<float>(4 * liver / sum), 1e-5F),
                            FloatNear(static_cast<float>(4 * spleen / sum), 1e-5F),
                            FloatNear(static_cast<float>(4 * aorta / sum), 1e-5F), 1.0F));
    settings.classWeights = "effective";
    const double e8 = 0.001 / (1 - std::pow(0.999, 8)), e4 = 0.001 / (1 - std::pow(0.999, 4)), total = e8 + e4 + 1;
    EXPECT_THAT(classWeights(settings, kLabels, statistics(), OutputKind::Sigmoid),
                ElementsAre(FloatNear(static_cast<float>(3 * e8 / total), 1e-5F),
                            FloatNear(static_cast<float>(3 * e4 / total), 1e-5F),
                            FloatNear(static_cast<float>(3 / total), 1e-5F), 1.0F));
}

TEST(ClassWeights, TakesFactorsByName) {
    TrainSettings settings;
    settings.structureWeights = {"liver=0.5", "aorta=4"};
    EXPECT_THAT(classWeights(settings, kLabels, statistics(), OutputKind::Sigmoid), ElementsAre(0.5F, 1, 4, 1));
    settings.structureWeights = {"background=0.1"};
    EXPECT_THAT(classWeights(settings, kLabels, statistics(), OutputKind::Softmax), ElementsAre(0.1F, 1, 1, 1, 1));
    const auto failure = [&](const char* text) {
        settings.structureWeights = {text};
        return messageOf([&] { classWeights(settings, kLabels, statistics(), OutputKind::Sigmoid); });
    };
    EXPECT_THAT(failure("livre=2"), HasSubstr("did you mean \"liver\"?"));
    EXPECT_THAT(failure("liver"), HasSubstr("name=factor"));
    EXPECT_THAT(failure("liver=-1"), HasSubstr("name=factor"));
    EXPECT_THAT(failure("liver=2x"), HasSubstr("name=factor"));
}

TEST(LossOptions, FollowTheRecipe) {
    Recipe recipe;
    recipe.train.loss = "focal_tversky";
    recipe.train.focalGamma = 1.5;
    recipe.train.ignoreLabel = "absent";
    const SegmentationLossOptions options = lossOptions(recipe, kLabels);
    EXPECT_EQ(options.overlap, OverlapForm::Tversky);
    EXPECT_EQ(options.crossEntropyWeight, 1);
    EXPECT_EQ(options.diceWeight, 1);
    EXPECT_EQ(options.focalGamma, 1.5);
    EXPECT_EQ(options.ignoreLabel, 4);
    recipe.train.loss = "generalized_dice";
    EXPECT_EQ(lossOptions(recipe, kLabels).overlap, OverlapForm::Generalized);
    EXPECT_EQ(lossOptions(recipe, kLabels).crossEntropyWeight, 0);
    recipe.train.loss = "ce_tversky";
    EXPECT_THAT(messageOf([&] { lossOptions(recipe, kLabels); }), HasSubstr("does not go with model.output sigmoid"));
    recipe.model.output = "softmax";
    EXPECT_EQ(lossOptions(recipe, kLabels).output, OutputKind::Softmax);
    recipe.train.ignoreLabel = "nothing";
    EXPECT_THAT(messageOf([&] { lossOptions(recipe, kLabels); }), HasSubstr("train.ignore_label"));
}

}  // namespace
}  // namespace medseg
