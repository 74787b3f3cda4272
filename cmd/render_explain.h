// medseg render explain: where a network looks.
#pragma once

#include <cstdint>

#include <functional>
#include <optional>
#include <string>

#include "command.h"
#include "medseg/report/overlay.h"

namespace medseg::cli {

struct ExplainOptions {
    std::string structure, model, method = "grad-cam";
};

/// Declares --model and --method and the structure.
void declareExplain(CLI::App& app, ExplainOptions& options);

/// Writes the picture to `output`; `overlay` chooses slice, window and size.
void runExplain(const ExplainOptions& options, const std::string& image, OverlayOptions overlay,
                const std::string& output);

}  // namespace medseg::cli
