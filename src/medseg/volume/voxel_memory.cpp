#include "medseg/volume/voxel_memory.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace medseg {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Page faults of 4 KB cost more than many kernels that fill the pages. Only a wish: failure changes nothing.
void wishForHugePages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const auto begin = (reinterpret_cast<std::uintptr_t>(memory) + kHugePage - 1) / kHugePage * kHugePage;
    const auto end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / kHugePage * kHugePage;
    if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace

void* allocateVoxelBytes(std::int64_t count, std::size_t size, bool zeroed) {
    if (count < 0 || static_cast<std::uint64_t>(count) > std::numeric_limits<std::int64_t>::max() / size)
        throw std::bad_alloc();
    const std::size_t bytes = std::max<std::size_t>(1, static_cast<std::size_t>(count) * size);
    void* memory = zeroed ? std::calloc(bytes, 1) : std::malloc(bytes);
    if (memory == nullptr) throw std::bad_alloc();
    if (bytes >= 4 * kHugePage) wishForHugePages(memory, bytes);
    return memory;
}

}  // namespace medseg
