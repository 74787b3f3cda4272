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

}  // namespace
}  // namespace medseg
