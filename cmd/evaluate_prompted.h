// The part of `medseg evaluate` that runs a prompted network on npz cases.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "medseg/nn/network_module.h"

namespace medseg::cli {

struct EvaluatePromptedOptions {
    std::string model;
    std::string input;
    PromptedEvaluationRequest request;
};

void declareEvaluatePrompted(CLI::App& app, EvaluatePromptedOptions& options);

/// Prints the table or one JSON object.
int runEvaluatePrompted(const EvaluatePromptedOptions& options, const std::string& output, bool json);

}  // namespace medseg::cli
