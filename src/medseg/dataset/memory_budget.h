// A limit on the memory of work that runs side by side.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace medseg {

/// Half of the memory that the system reports as available, at least 256 MiB.
std::uint64_t availableMemoryShare();

class MemoryBudget {
  public:
    explicit MemoryBudget(std::uint64_t bytes) : limit_(bytes) {}

    /// Holds `bytes` of the budget while it lives. Waits until they are free; work larger than the whole budget waits
    /// until it is alone. Throws InterruptedError on Ctrl-C.
    class Share {
      public:
        Share(MemoryBudget& budget, std::uint64_t bytes);
        ~Share();
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;

      private:
        MemoryBudget& budget_;
        std::uint64_t bytes_;
    };

  private:
    std::mutex mutex_;
    std::condition_variable freed_;
    std::uint64_t limit_;
    std::uint64_t used_ = 0;
};

}  // namespace medseg
