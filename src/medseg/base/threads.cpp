#include "medseg/base/threads.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

namespace medseg {
namespace {

std::mutex limitMutex;
std::unique_ptr<tbb::global_control> limit;
int limitThreads = 0;

int coreCount() { return std::max(1u, std::thread::hardware_concurrency()); }

}  // namespace

void setThreadCount(int threads) {
    const std::lock_guard lock(limitMutex);
    limitThreads = threads > 0 ? threads : coreCount();
    limit = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism, limitThreads);
}

int threadCount() {
    {
        const std::lock_guard lock(limitMutex);
        if (limitThreads > 0) return limitThreads;
    }
    const char* wanted = std::getenv("MEDSEG_THREADS");
    setThreadCount(wanted != nullptr ? std::atoi(wanted) : 0);
    return limitThreads;
}

void parallelFor(std::int64_t begin, std::int64_t end, std::int64_t grain,
                 const std::function<void(std::int64_t, std::int64_t)>& body) {
    if (begin >= end) return;
    grain = std::max<std::int64_t>(1, grain);
    if (threadCount() == 1 || end - begin <= grain) {
        body(begin, end);
        return;
    }
    tbb::parallel_for(tbb::blocked_range<std::int64_t>(begin, end, static_cast<std::size_t>(grain)),
                      [&](const auto& range) { body(range.begin(), range.end()); });
}

void parallelForEach(std::int64_t begin, std::int64_t end, const std::function<void(std::int64_t)>& body) {
    parallelFor(begin, end, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) body(i);
    });
}

}  // namespace medseg
