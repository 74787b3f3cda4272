// Memory for voxels: large blocks on huge pages where the system offers them, zeroed blocks without a pass over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <type_traits>

namespace medseg {

struct VoxelDeleter {
    void operator()(void* memory) const noexcept { std::free(memory); }
};
template <typename T>
using VoxelPointer = std::unique_ptr<T[], VoxelDeleter>;

/// `count` elements of `size` bytes, zeroed or uninitialised. Throws std::bad_alloc.
void* allocateVoxelBytes(std::int64_t count, std::size_t size, bool zeroed);

template <typename T>
VoxelPointer<T> allocateVoxels(std::int64_t count, bool zeroed = false) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    return VoxelPointer<T>(static_cast<T*>(allocateVoxelBytes(count, sizeof(T), zeroed)));
}

}  // namespace medseg
