#include "medseg/nn/sam3d/condition_cache.h"

namespace medseg {

const ConditionFeatures* ConditionCache::find(const std::string& name) {
    const auto found = byName_.find(name);
    if (found == byName_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->features;
}

void ConditionCache::add(const std::string& name, ConditionFeatures features) {
    if (byName_.contains(name)) return;
    std::int64_t bytes = 0;
    for (const torch::Tensor& stream : features) bytes += static_cast<std::int64_t>(stream.nbytes());
    if (bytes > limit_) return;
    entries_.push_front({name, std::move(features), bytes});
    byName_[name] = entries_.begin();
    used_ += bytes;
    while (used_ > limit_) {
        used_ -= entries_.back().bytes;
        byName_.erase(entries_.back().name);
        entries_.pop_back();
    }
}

}  // namespace medseg
