#include "medseg/dataset/memory_budget.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

#include "medseg/base/interrupt.h"

namespace medseg {

std::uint64_t availableMemoryShare() {
    constexpr std::uint64_t kLeast = std::uint64_t{256} << 20;
    std::ifstream info("/proc/meminfo");
    std::string key, unit;
    std::uint64_t kibibytes = 0;
    while (info >> key >> kibibytes && std::getline(info, unit))
        if (key == "MemAvailable:") return std::max(kLeast, kibibytes * 1024 / 2);
    return std::uint64_t{1} << 30;
}

MemoryBudget::Share::Share(MemoryBudget& budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) {
    std::unique_lock lock(budget_.mutex_);
    const auto fits = [&] { return budget_.used_ == 0 || budget_.used_ + bytes_ <= budget_.limit_; };
    while (!budget_.freed_.wait_for(lock, std::chrono::milliseconds(200), fits)) throwIfInterrupted();
    budget_.used_ += bytes_;
}

MemoryBudget::Share::~Share() {
    {
        const std::lock_guard lock(budget_.mutex_);
        budget_.used_ -= bytes_;
    }
    budget_.freed_.notify_all();
}

}  // namespace medseg
