#include "medseg/io/pickle_graph.h"

#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/pickle_objects.h"

namespace medseg {

namespace {

void empty(PickleNode& node) {
    node.items.clear();
    node.entries.clear();
    node.state = {};
}

/// Depth-first, with a stack of its own so that nesting cannot exhaust the program's.
class TreeWalk {
  public:
    TreeWalk(const std::string& source, std::size_t maxDepth) : source_(source), maxDepth_(maxDepth) {}

    void settleEdge(PickleValue& edge) {
        enter(edge);
        while (!path_.empty()) {
            Step& step = path_.back();
            if (PickleValue* child = nextEdge(step)) {
                enter(*child);
                continue;
            }
            const std::size_t height = step.height + 1;
            mergeRepeatedKeys(*step.node);
            visited_[step.node] = height;
            path_.pop_back();
            if (!path_.empty()) raise(height);
        }
    }

    bool reached(const PickleNode* node) const { return visited_.contains(node); }

  private:
    struct Step {
        PickleNode* node;
        std::size_t edge = 0;
        std::size_t height = 0;
    };
    static constexpr std::size_t kOpen = 0;  // height of a node that is on the path

    /// Items, then keys and values, then the state.
    static PickleValue* nextEdge(Step& step) {
        PickleNode& node = *step.node;
        const std::size_t index = step.edge++;
        if (index < node.items.size()) return &node.items[index];
        const std::size_t rest = index - node.items.size();
        if (rest < 2 * node.entries.size()) {
            PickleValue::Entry& entry = node.entries[rest / 2];
            return rest % 2 == 0 ? &entry.first : &entry.second;
        }
        return rest == 2 * node.entries.size() ? &node.state : nullptr;
    }

    void raise(std::size_t height) {
        path_.back().height = std::max(path_.back().height, height);
        if (path_.size() + path_.back().height > maxDepth_) failDepth();
    }

    [[noreturn]] void failDepth() const {
        throw DataError(source_, fmt::format("pickle nests values more than {} levels deep", maxDepth_));
    }

    void enter(PickleValue& edge) {
        const std::shared_ptr<PickleNode> node = edge.node();
        if (!node) return;
        const auto known = visited_.find(node.get());
        if (known != visited_.end()) {
            if (known->second == kOpen) {
                edge = PickleValue::opaque("recursive reference");
            } else if (const auto array = arrays_.find(node.get()); array != arrays_.end()) {
                edge = array->second;
            } else if (!path_.empty()) {
                raise(known->second);
            }
            return;
        }
        if (std::optional<TensorRecord> array = numpyArrayOf(*node, source_)) {
            edge = PickleValue(std::move(*array));
            arrays_.emplace(node.get(), edge);
            visited_.emplace(node.get(), 1);
            empty(*node);
            return;
        }
        visited_.emplace(node.get(), kOpen);
        path_.push_back({node.get()});
        if (path_.size() > maxDepth_) failDepth();
    }

    static void mergeRepeatedKeys(PickleNode& node) {
        if (node.kind != PickleValue::Kind::Dict || node.entries.size() < 2) return;
        std::unordered_map<std::string_view, std::size_t> firstOf;
        std::vector<PickleValue::Entry> merged;
        merged.reserve(node.entries.size());
        for (PickleValue::Entry& entry : node.entries) {
            if (entry.first.isString()) {
                // The text is shared by copies of the value, so the view outlives the move below.
                const auto [found, isNew] = firstOf.try_emplace(entry.first.asString(), merged.size());
                if (!isNew) {
                    merged[found->second].second = std::move(entry.second);
                    continue;
                }
            }
            merged.push_back(std::move(entry));
        }
        node.entries = std::move(merged);
    }

    const std::string& source_;
    std::size_t maxDepth_;
    std::vector<Step> path_;
    std::unordered_map<const PickleNode*, std::size_t> visited_;
    std::unordered_map<const PickleNode*, PickleValue> arrays_;
};

}  // namespace

PickleNodes::~PickleNodes() {
    for (const auto& node : nodes_) empty(*node);
}

bool PickleNodes::add(const PickleValue& container, std::size_t limit) {
    if (nodes_.size() >= limit) return false;
    nodes_.push_back(container.node());
    return true;
}

PickleValue PickleNodes::settle(PickleValue root, const std::string& source, std::size_t maxDepth) {
    TreeWalk walk(source, maxDepth);
    walk.settleEdge(root);
    std::erase_if(nodes_, [&](const auto& node) { return walk.reached(node.get()); });
    for (const auto& node : nodes_) empty(*node);
    nodes_.clear();
    return root;
}

}  // namespace medseg
