// One process of a training job of several: what the ranks tell each other. Over torch's c10d with Gloo; tensors of
// other devices travel through host memory.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <torch/torch.h>

#include "medseg/base/ranks.h"

namespace medseg {

/// Every function is called by all ranks, in the same order. Contact that is lost (a rank ended, or was silent for ten
/// minutes) throws WorkError, or, where launchRanks() reports it, a silent Error with kLostContactCode.
class DataParallel {
  public:
    /// Meets the other ranks at the settings' address. Throws WorkError when they do not come within ten minutes.
    explicit DataParallel(const RankSettings& settings);
    ~DataParallel();
    DataParallel(const DataParallel&) = delete;
    DataParallel& operator=(const DataParallel&) = delete;

    int rank() const { return settings_.rank; }
    int size() const { return settings_.size; }
    /// Rank 0: the one that writes files and talks to people.
    bool isFirst() const { return settings_.rank == 0; }

    /// Rank 0 has done what the others wait for; they wait up to a week, and leave when rank 0 is gone.
    void releaseOthers();
    void waitForFirst();

    /// Everybody gets rank 0's values, in place.
    void broadcast(const std::vector<torch::Tensor>& tensors);
    bool broadcast(bool value);
    /// The sum over ranks, in place; the same bits on every rank.
    void sum(torch::Tensor& tensor);
    double sum(double value);
    /// The mean over ranks of each floating-point tensor, in place; the others are left alone.
    void average(const std::vector<torch::Tensor>& tensors);
    /// True if it is true on any rank.
    bool any(bool value);
    void barrier() { any(false); }

    /// A sum under way.
    class Pending {
      public:
        virtual ~Pending() = default;
        virtual void wait() = 0;
    };
    /// Starts summing a contiguous float CPU tensor in place, which must live until wait() returns.
    std::unique_ptr<Pending> startSum(const torch::Tensor& tensor);

  private:
    void guarded(const std::function<void()>& work) const;
    [[noreturn]] void throwLostContact(const std::string& cause) const;

    struct Connection;
    struct PendingSum;
    RankSettings settings_;
    std::unique_ptr<Connection> connection_;
};

}  // namespace medseg
