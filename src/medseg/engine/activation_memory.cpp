#include "medseg/engine/activation_memory.h"

#include <algorithm>

namespace medseg {

ActivationMemory::ActivationMemory(const Graph& graph, const std::function<std::int64_t(int value)>& bytesOf)
    : bufferOf_(graph.values.size(), -1) {
    std::vector<std::size_t> lastUse(graph.values.size(), 0);
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
        lastUse[graph.nodes[n].input] = n;
        if (graph.nodes[n].skip >= 0) lastUse[graph.nodes[n].skip] = n;
    }
    struct Buffer {
        std::int64_t bytes;
        std::size_t freeAfter;  ///< node that reads it last
    };
    std::vector<Buffer> plan;
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
        const int value = graph.nodes[n].output;
        if (value == graph.output()) continue;
        const std::int64_t bytes = bytesOf(value);
        // The smallest free buffer that is large enough; else the largest free one grows.
        int best = -1;
        for (std::size_t b = 0; b < plan.size(); ++b) {
            if (plan[b].freeAfter >= n) continue;
            const bool fits = plan[b].bytes >= bytes;
            const bool bestFits = best >= 0 && plan[best].bytes >= bytes;
            if (best < 0 || (fits && (!bestFits || plan[b].bytes < plan[best].bytes)) ||
                (!fits && !bestFits && plan[b].bytes > plan[best].bytes))
                best = static_cast<int>(b);
        }
        if (best < 0) {
            best = static_cast<int>(plan.size());
            plan.push_back({0, 0});
        }
        plan[best] = {std::max(plan[best].bytes, bytes), lastUse[value]};
        bufferOf_[value] = best;
    }
    for (const Buffer& buffer : plan)
        buffers_.emplace_back((static_cast<std::size_t>(buffer.bytes) + kAlignment - 1) / kAlignment);
}

std::int64_t ActivationMemory::bytes() const {
    std::int64_t sum = 0;
    for (const auto& buffer : buffers_) sum += static_cast<std::int64_t>(buffer.size() * sizeof(Line));
    return sum;
}

}  // namespace medseg
