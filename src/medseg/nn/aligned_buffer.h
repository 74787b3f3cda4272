// Scratch memory of kernels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace medseg {

struct FreeMemory {
    void operator()(float* memory) const { std::free(memory); }
};
using AlignedBuffer = std::unique_ptr<float[], FreeMemory>;

/// `count` floats on a cache line's boundary, not initialised.
inline AlignedBuffer alignedBuffer(std::ptrdiff_t count) {
    const std::size_t lines = (static_cast<std::size_t>(std::max<std::ptrdiff_t>(count, 1)) * sizeof(float) + 63) / 64;
    void* memory = std::aligned_alloc(64, lines * 64);
    if (memory == nullptr) throw std::bad_alloc();
    return AlignedBuffer(static_cast<float*>(memory));
}

}  // namespace medseg
