// The containers of one pickle while it is read: they may refer to each other in circles, which plain data must not.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "medseg/io/pickle_value.h"

namespace medseg {

/// Owns every container a pickle makes until the reading is over. The destructor takes apart what was not handed
/// out, circles and deep nesting included, without recursion.
class PickleNodes {
  public:
    PickleNodes() = default;
    ~PickleNodes();
    PickleNodes(const PickleNodes&) = delete;
    PickleNodes& operator=(const PickleNodes&) = delete;

    /// Registers a container. False if there would be more than `limit`.
    bool add(const PickleValue& container, std::size_t limit);

    /// Makes the finished tree below `root` plain data: numpy arrays become tensors, repeated keys one entry (the last
    /// value counts, as in Python), references in a circle are cut. Throws DataError beyond `maxDepth` levels.
    PickleValue settle(PickleValue root, const std::string& source, std::size_t maxDepth);

  private:
    std::vector<std::shared_ptr<PickleNode>> nodes_;
};

}  // namespace medseg
