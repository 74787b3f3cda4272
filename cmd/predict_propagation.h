// The part of `medseg predict` that is about prompts that travel through a volume.
#pragma once

#include <CLI/CLI.hpp>

#include "medseg/nn/network_module.h"

namespace medseg::cli {

struct PropagationCliOptions {
    std::string method;  ///< empty: prompts stay on their slices
    PropagationOptions options;
};

void declarePropagationOptions(CLI::App& app, PropagationCliOptions& options);

/// What the request gets; nothing when prompts stay on their slices. Throws UsageError for options that do not fit.
std::optional<PropagationOptions> propagationFrom(const PropagationCliOptions& options, bool separate);

}  // namespace medseg::cli
