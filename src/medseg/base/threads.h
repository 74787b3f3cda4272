// Data parallelism over index ranges, on oneTBB. Results must not depend on the number of threads: reduce per range
// into indexed slots and combine them in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace medseg {

/// Limits the threads of all later parallel work; 0 = all cores (the default; MEDSEG_THREADS also sets it).
void setThreadCount(int threads);
int threadCount();

/// Calls body(first, last) for sub-ranges that cover [begin, end) once, in parallel. Ranges longer than `grain` are
/// halved, so each is at least grain / 2 long. The first exception thrown by a body is rethrown here.
void parallelFor(std::int64_t begin, std::int64_t end, std::int64_t grain,
                 const std::function<void(std::int64_t, std::int64_t)>& body);

/// Calls body(i) for every i in [begin, end), in parallel, one index per task: for work that is heavy per index.
void parallelForEach(std::int64_t begin, std::int64_t end, const std::function<void(std::int64_t)>& body);

}  // namespace medseg
