// Tokens of frozen condition embedders, kept in memory.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

#include "medseg/nn/sam3d/condition_embedder.h"

namespace medseg {

/// Features by name (a slice and an object); when they exceed the limit the least recently used are dropped.
class ConditionCache {
  public:
    explicit ConditionCache(std::int64_t bytes) : limit_(bytes) {}

    /// nullptr when `name` is not there. Valid until the next add().
    const ConditionFeatures* find(const std::string& name);
    void add(const std::string& name, ConditionFeatures features);
    std::int64_t bytes() const { return used_; }
    std::size_t size() const { return entries_.size(); }

  private:
    struct Entry {
        std::string name;
        ConditionFeatures features;
        std::int64_t bytes = 0;
    };
    std::int64_t limit_;
    std::int64_t used_ = 0;
    std::list<Entry> entries_;  ///< most recently used first
    std::unordered_map<std::string, std::list<Entry>::iterator> byName_;
};

}  // namespace medseg
