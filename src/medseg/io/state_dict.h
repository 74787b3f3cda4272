// Flat state dicts (names and tensors): finding them inside checkpoints, renaming, comparing with what a model expects.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "medseg/io/pickle_value.h"
#include "medseg/io/tensor_record.h"

namespace medseg {

/// All tensors below `value`, depth first; names are keys and list positions joined by '.'. Whole modules that were
/// pickled (torch.save(model)) give the names their state_dict() would have. Throws DataError above 2^18 tensors.
NamedTensors flattenTensors(const PickleValue& value);

/// Removes `prefix` from names that have it; names without it stay.
NamedTensors withoutPrefix(NamedTensors tensors, std::string_view prefix);

/// Only tensors whose name starts with `prefix`, with it removed.
NamedTensors withPrefix(const NamedTensors& tensors, std::string_view prefix);

/// First tensor of that name, nullptr if there is none.
const TensorRecord* findTensor(const NamedTensors& tensors, std::string_view name);

struct FoundStateDict {
    NamedTensors tensors;
    std::vector<std::string> path;              ///< entries that were opened to reach it: {"model"}; empty = the root
    std::vector<std::string> strippedPrefixes;  ///< "module." (DataParallel), "_orig_mod." (torch.compile)
};

/// The network's weights in a checkpoint: opens the wrappers "model", "state_dict", "model_state_dict",
/// "network_weights", "lora_state_dict" as long as there are any, and strips "module." and "_orig_mod." where all names
/// have them. With `entry` ("ema", "optimizer.state") that entry is taken instead. Throws DataError, naming `source`,
/// when there are no tensors or no such entry.
FoundStateDict findStateDict(const PickleValue& root, const std::string& source, const std::string& entry = {});

/// What a model expects under a name.
struct ExpectedTensor {
    std::string name;
    std::vector<std::int64_t> shape;
};

/// Difference between expected names and shapes and those of a state dict.
struct StateDictMatch {
    struct MisShaped {
        std::string name;
        std::vector<std::int64_t> expected;
        std::vector<std::int64_t> found;
    };
    std::vector<std::string> missing;     ///< expected, not in the file; in the model's order
    std::vector<std::string> unexpected;  ///< in the file, not expected; in the file's order
    std::vector<MisShaped> misShaped;
    std::size_t matched = 0;

    bool isComplete() const { return missing.empty() && unexpected.empty() && misShaped.empty(); }
    /// One line: "3 of 314 missing (a, b, c), 1 mis-shaped (w: [3, 4] expected, [4] found)"; at most `namesShown` names
    /// of each sort. "all 314 tensors match" when complete.
    std::string describe(std::size_t namesShown = 5) const;
};

StateDictMatch matchStateDict(const std::vector<ExpectedTensor>& expected, const NamedTensors& found);

/// Throws DataError("SOURCE: does not fit MODEL: ...") unless everything matches (strict), or unless at least one
/// tensor does (not strict).
void requireMatch(const StateDictMatch& match, const std::string& source, const std::string& model, bool strict = true);

}  // namespace medseg
