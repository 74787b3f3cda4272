// Buffers for the activations of a graph: those that are never needed at the same time share memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "medseg/engine/graph.h"

namespace medseg {

class ActivationMemory {
  public:
    ActivationMemory() = default;
    /// Plans buffers for all values but the input and the output. `bytesOf` gives the size of a value.
    ActivationMemory(const Graph& graph, const std::function<std::int64_t(int value)>& bytesOf);

    void* at(int value) { return buffers_[static_cast<std::size_t>(bufferOf_[value])].data(); }
    std::int64_t bytes() const;

  private:
    static constexpr std::size_t kAlignment = 64;
    struct alignas(kAlignment) Line {
        std::byte bytes[kAlignment];
    };
    std::vector<int> bufferOf_;
    std::vector<std::vector<Line>> buffers_;
};

}  // namespace medseg
