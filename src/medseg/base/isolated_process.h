// Foreign code on untrusted data: what it does to its process, it does to a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace medseg {

/// Zeroed memory that a copy of the process shares with it. Throws WorkError when there is none.
class SharedMemory {
  public:
    explicit SharedMemory(std::size_t size);
    ~SharedMemory();
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;

    std::span<std::uint8_t> bytes() const { return {data_, size_}; }

  private:
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

/// Runs `work` in a forked copy of this process, silently, with at most `memory` bytes more than now and two minutes of
/// processor time. True if it returned true; false if it returned false, threw, aborted, crashed or was stopped. Only
/// what it writes into SharedMemory stays. `work` must not start threads or wait for any. Throws WorkError when no
/// process can be started.
bool runIsolated(const std::function<bool()>& work, std::size_t memory);

}  // namespace medseg
