// Batches made by worker threads ahead of their consumer, and handed over in order.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "medseg/base/interrupt.h"

namespace medseg {

/// What the batches are depends on the function that makes them only, not on the number of workers.
template <typename Batch>
class BatchQueue {
  public:
    using Make = std::function<Batch(std::int64_t index)>;

    /// `prefetch`: finished batches that may wait, at least 1.
    BatchQueue(int workers, int prefetch) : prefetch_(std::max(1, prefetch)) {
        for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
    }
    ~BatchQueue() {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        wanted_.notify_all();
        for (std::thread& worker : workers_) worker.join();
    }
    BatchQueue(const BatchQueue&) = delete;
    BatchQueue& operator=(const BatchQueue&) = delete;

    /// Begins batches first .. end - 1; what is left of earlier ones is abandoned. `make` is called by the workers.
    void start(std::int64_t first, std::int64_t end, Make make) {
        auto shared = std::make_shared<const Make>(std::move(make));
        {
            const std::lock_guard lock(mutex_);
            make_ = std::move(shared);
            ++generation_;
            ready_.clear();
            problem_ = nullptr;
            nextToMake_ = nextToGive_ = first;
            end_ = end;
            if (!started_) started_ = now();
        }
        wanted_.notify_all();
    }

    /// The next batch, or nothing after the last. Rethrows what a worker threw; throws InterruptedError after Ctrl-C.
    std::optional<Batch> next() {
        std::unique_lock lock(mutex_);
        if (nextToGive_ >= end_) return std::nullopt;
        const double before = now();
        const auto arrived = [&] { return problem_ || ready_.contains(nextToGive_); };
        while (!made_.wait_for(lock, std::chrono::milliseconds(200), arrived)) throwIfInterrupted();
        waited_ += now() - before;
        if (problem_) std::rethrow_exception(problem_);
        Batch batch = std::move(ready_.extract(nextToGive_).mapped());
        ++nextToGive_;
        lock.unlock();
        wanted_.notify_one();
        return batch;
    }

    /// Seconds that next() waited since the queue was made, and seconds since the first start().
    double waitedSeconds() const { return waited_; }
    double elapsedSeconds() const { return started_ ? now() - *started_ : 0; }
    /// Share of the time that the consumer waited.
    double idleShare() const {
        const double elapsed = elapsedSeconds();
        return elapsed > 0 ? waited_ / elapsed : 0;
    }

  private:
    static double now() {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    }

    void work() {
        std::unique_lock lock(mutex_);
        while (true) {
            wanted_.wait(lock, [&] {
                return stop_ || (!problem_ && nextToMake_ < end_ && nextToMake_ < nextToGive_ + prefetch_);
            });
            if (stop_) return;
            const std::int64_t index = nextToMake_++;
            const std::uint64_t generation = generation_;
            const std::shared_ptr<const Make> make = make_;
            lock.unlock();
            std::optional<Batch> batch;
            std::exception_ptr problem;
            try {
                batch = (*make)(index);
            } catch (...) {
                problem = std::current_exception();
            }
            lock.lock();
            if (generation != generation_) continue;  // of an abandoned start()
            if (problem)
                problem_ = problem;
            else
                ready_.emplace(index, std::move(*batch));
            made_.notify_one();
        }
    }

    const std::int64_t prefetch_;
    std::mutex mutex_;
    std::condition_variable wanted_;  ///< workers wait for room or a start
    std::condition_variable made_;    ///< the consumer waits for its batch
    std::shared_ptr<const Make> make_;
    std::map<std::int64_t, Batch> ready_;
    std::uint64_t generation_ = 0;
    std::int64_t nextToMake_ = 0, nextToGive_ = 0, end_ = 0;
    std::exception_ptr problem_;
    bool stop_ = false;
    std::vector<std::thread> workers_;
    double waited_ = 0;
    std::optional<double> started_;
};

}  // namespace medseg
