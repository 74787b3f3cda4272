#include "predict_propagation.h"

#include "medseg/base/error.h"

namespace medseg::cli {
namespace {

constexpr const char* kPropagation = "Prompts through volumes (SAM 2, MedSAM2, EfficientTAM)";

}  // namespace

void declarePropagationOptions(CLI::App& app, PropagationCliOptions& options) {
    app.add_option(
           "--propagate", options.method,
           "Boxes travel through the volume: slices (the box of the last mask prompts the next slice) or memory "
           "(SAM 2's own). Boxes from --box start on their slice and may reach both ends; those from --boxes-from "
           "or an .npz start on the label's largest slice and stay within its slices")
        ->check(CLI::IsMember({"slices", "memory"}))
        ->type_name("METHOD")
        ->group(kPropagation);
    app.add_option(
           "--rules", options.options.rules,
           "slices: corrected, official (MedSAM2's script, quirks included) or ild (the same without end slices)")
        ->check(CLI::IsMember({"corrected", "official", "ild"}))
        ->type_name("NAME")
        ->group(kPropagation);
    app.add_flag("--lungs", options.options.lungs, "CT: start from boxes around the lungs, found by threshold")
        ->group(kPropagation);
    app.add_option(
           "--box-shift", options.options.boxShift,
           "Pixels of a 1024-pixel input by which boxes of masks are widened; official, ild: pixels of any grid")
        ->check(CLI::Range(0, 1024))
        ->type_name("PIXELS")
        ->group(kPropagation);
    app.add_option("--network-size", options.options.imageSize,
                   "Side of the network's input, pixels, a multiple of 32; 0: as the checkpoint says")
        ->check(CLI::Range(0, 4096))
        ->type_name("PIXELS")
        ->group(kPropagation);
}

std::optional<PropagationOptions> propagationFrom(const PropagationCliOptions& options, bool separate) {
    if (options.method.empty()) {
        if (options.options.lungs) throw UsageError("--lungs: say how the boxes travel: --propagate slices or memory");
        return {};
    }
    PropagationOptions chosen = options.options;
    chosen.method = options.method;
    chosen.separate = separate;
    return chosen;
}

}  // namespace medseg::cli
