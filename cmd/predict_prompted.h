// The part of `medseg predict` that is about boxes and points.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "medseg/nn/network_module.h"

namespace medseg::cli {

struct PromptedOptions {
    PromptOptions prompts;
    std::string style = "auto";
    std::string modality;
    std::vector<double> window;
    bool multimask = false;
    int promptBatch = 32;
};

void declarePromptedOptions(CLI::App& app, PromptedOptions& options);

/// `general`: models, inputs, output, device and skipExisting of the command. Prints label files, or one JSON object.
int runPrompted(const PromptedOptions& options, const PredictRequest& general,
                const std::optional<PropagationOptions>& propagation, bool json);

}  // namespace medseg::cli
