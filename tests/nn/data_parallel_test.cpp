// Ranks as threads of this process: what they tell each other, and training on shares of a batch.
#include "medseg/train/data_parallel.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <thread>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/train/gradient_average.h"
#include "medseg/train/trainer.h"

namespace medseg {
namespace {

int freePort() {
    const int handle = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    ::bind(handle, reinterpret_cast<sockaddr*>(&address), length);
    ::getsockname(handle, reinterpret_cast<sockaddr*>(&address), &length);
    ::close(handle);
    return ntohs(address.sin_port);
}

/// Calls work(ranks) on `size` threads, one a rank.
template <typename Work>
void asRanks(int size, Work work) {
    const int port = freePort();
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank)
        threads.emplace_back([&, rank] {
            RankSettings settings;
            settings.rank = rank;
            settings.size = size;
            settings.port = port;
            try {
                DataParallel ranks(settings);
                work(ranks);
            } catch (const std::exception& error) {
                ADD_FAILURE() << "rank " << rank << ": " << error.what();
            }
        });
    for (std::thread& thread : threads) thread.join();
}

TEST(DataParallel, SumsBroadcastsAndAgrees) {
    asRanks(3, [](DataParallel& ranks) {
        const double number = ranks.rank() + 1;
        EXPECT_EQ(ranks.sum(number), 6);
        auto tensor = torch::full({2, 2}, number);
        ranks.broadcast({tensor});
        EXPECT_TRUE(torch::equal(tensor, torch::ones({2, 2})));
        const auto mean = torch::full({3}, number), counter = torch::full({1}, 7, torch::kLong);
        ranks.average({mean, counter});
        EXPECT_TRUE(torch::equal(mean, torch::full({3}, 2.0)));
        EXPECT_EQ(counter.item<int>(), 7);
        EXPECT_TRUE(ranks.any(ranks.rank() == 2));
        EXPECT_FALSE(ranks.any(false));
        EXPECT_EQ(ranks.broadcast(ranks.isFirst()), true);
        if (ranks.isFirst())
            ranks.releaseOthers();
        else
            ranks.waitForFirst();
        ranks.barrier();
    });
}

TEST(GradientAverage, MeansOverRanksWithUnusedParameters) {
    asRanks(2, [](DataParallel& ranks) {
        // The first is used everywhere, the second by rank 1 only, the third nowhere.
        std::vector<torch::Tensor> parameters;
        for (int i = 0; i < 3; ++i) parameters.push_back(torch::ones({4}).requires_grad_());
        GradientAverage average(ranks, parameters, 16);  // a bucket each
        for (int step = 0; step < 2; ++step) {
            for (auto& parameter : parameters) parameter.mutable_grad() = torch::Tensor();
            auto loss = (parameters[0] * (ranks.rank() + 1)).sum();
            if (ranks.rank() == 1) loss = loss + (parameters[1] * 8).sum();
            average.expect();
            loss.backward();
            average.finish();
            EXPECT_TRUE(torch::equal(parameters[0].grad(), torch::full({4}, 1.5)));
            EXPECT_TRUE(torch::equal(parameters[1].grad(), torch::full({4}, 4.0)));
            EXPECT_FALSE(parameters[2].grad().defined());
        }
        ranks.barrier();
    });
}

/// Least squares on 10 fixed samples; the last batch is smaller.
class SharedSquares : public TrainingTask {
  public:
    SharedSquares(int batchSize, double start) : batchSize_(batchSize) {
        auto generator = at::detail::createCPUGenerator(4);
        inputs_ = torch::randn({10, 3}, generator);
        targets_ = torch::randn({10, 1}, generator);
        torch::NoGradGuard noGradient;
        for (auto& parameter : network_->parameters()) parameter.fill_(start);
    }
    void join(DataParallel& ranks) override {
        rank_ = ranks.rank();
        ranks_ = ranks.size();
    }
    torch::nn::Module& network() override { return *network_; }
    std::int64_t batchesPerEpoch() const override { return (10 + batchSize_ * ranks_ - 1) / (batchSize_ * ranks_); }
    void beginEpoch(int, std::int64_t firstBatch) override { next_ = firstBatch; }
    torch::Tensor nextLoss() override {
        const std::int64_t begin = batchSize_ * ranks_ * next_++;
        const std::int64_t count = std::min<std::int64_t>(batchSize_ * ranks_, 10 - begin);
        const std::int64_t first = begin + count * rank_ / ranks_, last = begin + count * (rank_ + 1) / ranks_;
        share_ = static_cast<double>((last - first) * ranks_) / static_cast<double>(count);
        return (network_->forward(inputs_.slice(0, first, last)) - targets_.slice(0, first, last)).square().mean();
    }
    double batchShare() const override { return share_; }
    ValidationResult validate() override { return {0, 0.5}; }
    double waitedSeconds() const override { return 0; }
    PickleValue description() const override { return PickleValue::dict(); }

  private:
    torch::nn::Sequential network_{torch::nn::Linear(3, 8), torch::nn::Tanh(), torch::nn::Linear(8, 1)};
    torch::Tensor inputs_, targets_;
    std::int64_t batchSize_, next_ = 0, rank_ = 0, ranks_ = 1;
    double share_ = 1;
};

TEST(DataParallelTrainer, EqualsOneProcessWithTheLargerBatch) {
    const fs::path folder = fs::temp_directory_path() / ("medseg-ranks-" + std::to_string(::getpid()));
    TrainSettings settings;
    settings.epochs = 5;
    settings.optimizer = "sgd";
    settings.learningRate = 0.05;
    settings.gradientClip = 1;
    settings.schedule = "constant";
    settings.accumulate = 2;
    settings.tensorboard = false;
    SharedSquares alone(4, 0.1);
    const TrainOutcome expected = Trainer(settings, alone, folder / "alone").run(false);
    std::vector<std::vector<torch::Tensor>> weights(2);
    asRanks(2, [&](DataParallel& ranks) {
        SharedSquares task(2, ranks.isFirst() ? 0.1 : 0.9);  // the first rank's start counts
        task.join(ranks);
        const TrainOutcome outcome = Trainer(settings, task, folder / "together", &ranks).run(false);
        EXPECT_EQ(outcome.epochs, expected.epochs);
        weights[static_cast<std::size_t>(ranks.rank())] = task.network().parameters();
    });
    const auto one = alone.network().parameters();
    for (std::size_t i = 0; i < one.size(); ++i) {
        EXPECT_TRUE(torch::equal(weights[0][i], weights[1][i])) << i;
        EXPECT_LT((weights[0][i] - one[i]).abs().max().item<double>(), 1e-6) << i;
        EXPECT_GT((one[i] - 0.1).abs().max().item<double>(), 1e-3) << i;
    }
    EXPECT_TRUE(fs::exists(folder / "together" / "latest.pth"));
    fs::remove_all(folder);
}

TEST(DataParallel, ALostRankEndsTheOthersWithOneLine) {
    const int port = freePort();
    std::string message;
    const auto run = [&](int rank) {
        RankSettings settings;
        settings.rank = rank;
        settings.size = 2;
        settings.port = port;
        DataParallel ranks(settings);
        ranks.barrier();
        if (rank == 1) return;  // gone
        try {
            for (int i = 0; i < 1000; ++i) ranks.barrier();
        } catch (const WorkError& error) {
            message = error.what();
        }
    };
    std::thread first(run, 0), second(run, 1);
    first.join();
    second.join();
    EXPECT_NE(message.find("rank 0 of 2 lost contact to another rank"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace medseg
