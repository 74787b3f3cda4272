// The training loop with a task so small that its results can be worked out by hand.
#include "medseg/train/trainer.h"

#include <unistd.h>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/torch_checkpoint.h"

namespace medseg {
namespace {

/// One weight w, loss w * w; the Dice of each epoch is given. `poison` names the step whose loss is NaN.
class OneWeight : public TrainingTask {
  public:
    explicit OneWeight(std::vector<double> dice) : dice_(std::move(dice)) { network_->weight.data().fill_(1); }

    void join(DataParallel&) override {}
    torch::nn::Module& network() override { return *network_; }
    std::int64_t batchesPerEpoch() const override { return 2; }
    void beginEpoch(int epoch, std::int64_t) override { epoch_ = epoch; }
    torch::Tensor nextLoss() override {
        auto loss = (network_->weight * network_->weight).sum();
        return ++steps_ == poison ? loss * std::numeric_limits<double>::quiet_NaN() : loss;
    }
    ValidationResult validate() override { return {0, dice_.at(static_cast<std::size_t>(epoch_))}; }
    double waitedSeconds() const override { return 0; }
    PickleValue description() const override { return PickleValue::dict(); }

    double weight() const { return network_->weight.item<double>(); }

    int poison = 0;

  private:
    torch::nn::Linear network_{torch::nn::LinearOptions(1, 1).bias(false)};
    std::vector<double> dice_;
    int epoch_ = 0;
    int steps_ = 0;
};

class TrainerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("medseg-trainer-" + std::to_string(::getpid()));
        settings_.epochs = 4;
        settings_.optimizer = "sgd";
        settings_.momentum = 0;
        settings_.weightDecay = 0;
        settings_.schedule = "constant";
        settings_.learningRate = 0.1;
        settings_.gradientClip = 0;
        settings_.keepCheckpoints = 0;
    }
    void TearDown() override { fs::remove_all(folder_); }

    fs::path folder_;
    TrainSettings settings_;
};

TEST_F(TrainerTest, TakesTheStepsOfGradientDescent) {
    OneWeight task({0.1, 0.2, 0.3, 0.4});
    Trainer(settings_, task, folder_).run(false);
    // Each step: w -= 0.1 * 2 w.
    EXPECT_NEAR(task.weight(), std::pow(0.8, 8), 1e-6);
}

TEST_F(TrainerTest, KeepsTheEpochWithTheHighestDice) {
    OneWeight task({0.3, 0.7, 0.5, 0.6});
    const TrainOutcome outcome = Trainer(settings_, task, folder_).run(false);
    EXPECT_EQ(outcome.bestEpoch, 2);
    EXPECT_DOUBLE_EQ(outcome.bestDice, 0.7);
    EXPECT_EQ(readTorchFile(folder_ / "best.pth").root.at("epoch").asInt(), 2);
}

TEST_F(TrainerTest, StopsEarlyAfterTheGivenNumberOfValidations) {
    settings_.earlyStop = 2;
    OneWeight task({0.3, 0.2, 0.2, 0.9});
    EXPECT_EQ(Trainer(settings_, task, folder_).run(false).epochs, 3);
}

TEST_F(TrainerTest, NanLossNamesTheBatchAndKeepsTheLastGoodCheckpoint) {
    OneWeight task({0.1, 0.2, 0.3, 0.4});
    task.poison = 4;  // epoch 2, batch 2
    std::string message;
    try {
        Trainer(settings_, task, folder_).run(false);
    } catch (const WorkError& error) {
        message = error.what();
    }
    EXPECT_THAT(message, ::testing::HasSubstr("epoch 2, batch 2"));
    EXPECT_THAT(message, ::testing::HasSubstr(folder_.string()));
    const TorchFile latest = readTorchFile(folder_ / "latest.pth");
    EXPECT_EQ(latest.root.at("epoch").asInt(), 1);
    OneWeight resumed({0.1, 0.2, 0.3, 0.4});
    Trainer(settings_, resumed, folder_).run(true);
    EXPECT_NEAR(resumed.weight(), std::pow(0.8, 8), 1e-6);
}

/// Least squares on 8 fixed samples, 2 a batch or 8 at once.
class LeastSquares : public TrainingTask {
  public:
    explicit LeastSquares(int batchSize) : batchSize_(batchSize) {
        torch::manual_seed(4);
        inputs_ = torch::randn({8, 3});
        targets_ = torch::randn({8, 1});
        network_->weight.data().fill_(0.5);
        network_->bias.data().fill_(0);
    }
    void join(DataParallel&) override {}
    torch::nn::Module& network() override { return *network_; }
    std::int64_t batchesPerEpoch() const override { return 8 / batchSize_; }
    void beginEpoch(int, std::int64_t firstBatch) override { next_ = firstBatch; }
    torch::Tensor nextLoss() override {
        const auto first = batchSize_ * next_++;
        const auto error = network_->forward(inputs_.slice(0, first, first + batchSize_)) -
                           targets_.slice(0, first, first + batchSize_);
        return (error * error).mean();
    }
    ValidationResult validate() override { return {0, 0.5}; }
    double waitedSeconds() const override { return 0; }
    PickleValue description() const override { return PickleValue::dict(); }
    torch::Tensor weight() const { return network_->weight; }

  private:
    torch::nn::Linear network_{3, 1};
    torch::Tensor inputs_, targets_;
    std::int64_t batchSize_, next_ = 0;
};

TEST_F(TrainerTest, AccumulatedBatchesEqualTheLargerBatch) {
    settings_.optimizer = "adam";
    settings_.weightDecay = 1e-3;
    settings_.gradientClip = 0.5;
    LeastSquares small(2), large(8);
    settings_.accumulate = 4;
    Trainer(settings_, small, folder_ / "small").run(false);
    settings_.accumulate = 1;
    Trainer(settings_, large, folder_ / "large").run(false);
    EXPECT_LT((small.weight() - large.weight()).abs().max().item<double>(), 1e-6);
    EXPECT_GT((small.weight() - 0.5).abs().max().item<double>(), 0.05);
}

TEST_F(TrainerTest, TwoRunsAreBitIdentical) {
    LeastSquares first(2), second(2);
    settings_.accumulate = 3;  // the last step of an epoch has one batch
    Trainer(settings_, first, folder_ / "a").run(false);
    Trainer(settings_, second, folder_ / "b").run(false);
    EXPECT_TRUE(first.weight().equal(second.weight()));
}

TEST_F(TrainerTest, WritesTensorBoardEventsAndForgetsThoseOfAnotherRun) {
    OneWeight task({0.1, 0.2, 0.3, 0.4});
    createDirectories(folder_ / "events");
    writeTextFile(folder_ / "events" / "events.out.tfevents.1.old", "x");
    Trainer(settings_, task, folder_).run(false);
    int files = 0;
    for (const auto& entry : fs::directory_iterator(folder_ / "events")) files += entry.is_regular_file() ? 1 : 0;
    EXPECT_EQ(files, 1);
    settings_.tensorboard = false;
    OneWeight quiet({0.1, 0.2, 0.3, 0.4});
    Trainer(settings_, quiet, folder_ / "quiet").run(false);
    EXPECT_FALSE(fs::exists(folder_ / "quiet" / "events"));
}

TEST(LossScale, SkipsOverflownStepsWithAHalvedFactor) {
    auto weight = torch::ones({2}).requires_grad_();
    LossScale scale(ProductPrecision::Fp16);
    scale.scaled((weight * weight).sum()).backward();
    EXPECT_EQ(weight.grad()[0].item<double>(), 2 * 65536);
    EXPECT_TRUE(scale.unscale({weight}));
    EXPECT_EQ(weight.grad()[0].item<double>(), 2);
    weight.mutable_grad()[1] = std::numeric_limits<float>::infinity();
    EXPECT_FALSE(scale.unscale({weight}));
    EXPECT_EQ(scale.factor(), 32768);
    LossScale off(ProductPrecision::Fp32);
    EXPECT_TRUE(off.unscale({weight}));
    EXPECT_THROW(precisionFromName("bf16", torch::kCPU), UsageError);
    EXPECT_THROW(precisionFromName("fp16", torch::kCPU, true), UsageError);
    EXPECT_EQ(precisionFromName("auto", torch::kCPU, true), ProductPrecision::Fp32);
    if (cpuMultipliesBf16())
        EXPECT_EQ(precisionFromName("bf16", torch::kCPU, true), ProductPrecision::Bf16);
    else
        EXPECT_THROW(precisionFromName("bf16", torch::kCPU, true), UsageError);
}

}  // namespace
}  // namespace medseg
