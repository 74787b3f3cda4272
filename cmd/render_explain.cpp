#include "render_explain.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/image_file.h"
#include "medseg/nn/network_module.h"
#include "medseg/report/heat_overlay.h"
#include "medseg/report/overlay_files.h"

namespace medseg::cli {
namespace {

ViewPlane planeOf(SliceAxis axis) {
    return viewPlaneFromName(sliceAxisName(axis));
}

}  // namespace

void declareExplain(CLI::App& app, ExplainOptions& options) {
    app.add_option("structure", options.structure, "Structure to explain, by the model's name for it")
        ->required()
        ->type_name("NAME");
    app.add_option("--model", options.model, "Model folder (its best.pth) or a .pth of a 2D U-Net that medseg trained")
        ->required()
        ->type_name("DIR|FILE");
    app.add_option("--method", options.method,
                   "grad-cam: what the bottleneck's features contribute; occlusion: how much probability the structure "
                   "loses when a patch is covered (257 runs of the network)")
        ->check(CLI::IsMember({"grad-cam", "occlusion"}))
        ->type_name("NAME");
}

void runExplain(const ExplainOptions& options, const std::string& image, OverlayOptions overlay,
                const std::string& output) {
    const auto files = findOverlayFiles(image, "", "");
    if (files.size() > 1) throw UsageError(fmt::format("--image {}: give one image", image));
    const Volume<float> voxels = readImage(files.front().image);
    ExplainRequest request;
    request.model = options.model;
    request.image = &voxels;
    request.structure = options.structure;
    request.slice = overlay.slice;
    const bool occlusion = options.method == "occlusion";
    request.method = occlusion ? ExplainMethod::Occlusion : ExplainMethod::GradCam;
    const ExplainOutcome outcome = loadNetworkModule().explain(request);

    overlay.plane = planeOf(outcome.axis);
    overlay.slice = outcome.slice;
    OverlayCase shown{files.front().name, &voxels, nullptr, &outcome.prediction};
    shown.imageFile = image;
    const std::string caption =
        occlusion ? fmt::format("Occlusion: white costs {:.3f} of probability", outcome.strongest) : "Grad-CAM";
    renderHeat(shown, outcome.heat, caption, overlay, fmt::format("Where the network looks for {}", options.structure))
        .writePng(output);
    fmt::print("{}\n", output);
}

}  // namespace medseg::cli
