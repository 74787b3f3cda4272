// medseg reconstruct: structures in 3D from a volume and a mask on a slice.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/sam3d_slices.h"
#include "medseg/io/image_file.h"
#include "medseg/io/mesh_file.h"
#include "medseg/nn/network_module.h"

namespace medseg::cli {
namespace {

struct Options {
    ReconstructRequest request;
    std::string model, image, mask, output, uncertainty, surface, splats;
    std::vector<std::string> slices;
    bool json = false;
};

/// "2:31" or "k:31".
ReconstructSlice sliceFrom(const std::string& text) {
    const auto colon = text.find(':');
    std::int64_t index = -1;
    if (colon != std::string::npos) {
        const std::string number = text.substr(colon + 1);
        const bool digits =
            !number.empty() && number.size() < 10 && number.find_first_not_of("0123456789") == std::string::npos;
        if (digits) index = std::stoll(number);
    }
    if (index < 0) throw UsageError(fmt::format("--slice {}: give AXIS:INDEX, e.g. 2:31", text));
    return {sam3dAxisFromName(text.substr(0, colon)), index};
}

int run(Options& options) {
    ReconstructRequest& request = options.request;
    request.model = options.model;
    request.image = options.image;
    request.mask = options.mask;
    request.output = options.output;
    request.uncertainty = options.uncertainty;
    request.surface = options.surface;
    request.splats = options.splats;
    if (!options.surface.empty() && !isMeshName(request.surface))
        throw UsageError(fmt::format("--surface {}: give a name ending in .obj, .ply or .stl", options.surface));
    if (!options.splats.empty() && request.splats.extension() != ".ply")
        throw UsageError(fmt::format("--splats {}: give a name ending in .ply", options.splats));
    requireImageName(request.output);
    if (!options.uncertainty.empty()) requireImageName(request.uncertainty);
    for (const std::string& slice : options.slices) request.slices.push_back(sliceFrom(slice));
    const ReconstructOutcome outcome = loadNetworkModule().reconstruct(request);
    logInfo("{} objects from {} slices in {:.1f} s", outcome.objects, outcome.slices, outcome.seconds);
    if (options.json) {
        nlohmann::json files = nlohmann::json::array();
        for (const auto& file : outcome.files) files.push_back(file.string());
        fmt::print("{}\n", nlohmann::json{{"files", files},
                                          {"objects", outcome.objects},
                                          {"slices", outcome.slices},
                                          {"seconds", outcome.seconds}}
                               .dump());
    } else {
        for (const auto& file : outcome.files) fmt::print("{}\n", file.string());
    }
    return static_cast<int>(ExitCode::Done);
}

std::function<int()> declare(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    app.add_option("-m,--model", options->model, "SAM 3D model: folder (its best.pt) or checkpoint")
        ->required()
        ->type_name("DIR|FILE");
    app.add_option("-i,--image", options->image, "Volume, e.g. a CT in HU")->required()->type_name("FILE");
    app.add_option("--mask", options->mask,
                   "Label map on the volume's grid; one slice of it is enough (medseg predict with a box makes one)")
        ->required()
        ->type_name("FILE");
    app.add_option("-o,--output", options->output, "Label map to write, in the volume's geometry")
        ->required()
        ->type_name("FILE");
    app.add_option("--slice", options->slices,
                   "Slice(s) of the mask to reconstruct from, across index axis 0, 1 or 2; several are averaged. "
                   "Default: as sampling.slices_per_object says, those that show the most")
        ->type_name("AXIS:INDEX");
    app.add_option("--label", options->request.labels,
                   "Labels to reconstruct (default: all that the mask, or the given slices, show)")
        ->delimiter(',')
        ->type_name("N");
    app.add_option("--uncertainty", options->uncertainty,
                   "Also write the entropy of slices and samples, 0 (sure) to 1, e.g. uncertainty.nii.gz")
        ->type_name("FILE");
    app.add_option("--surface", options->surface,
                   "Also write the decoded surfaces in RAS+ mm, .obj, .ply or .stl (models with a mesh decoder)")
        ->type_name("FILE");
    app.add_option("--splats", options->splats, "Also write Gaussian splats, .ply (released Gaussian decoder)")
        ->type_name("FILE");
    app.add_option("overrides", options->request.overrides,
                   "Recipe keys that win: sampling.samples=4 sampling.steps=10")
        ->type_name("key=value ...");
    app.add_flag("--json", options->json, "Print one JSON object with files and times");
    app.footer(
        "Example: medseg reconstruct --model out/sam3d_heart/model --image ct.nii.gz --mask slice.nii.gz --slice 2:31 "
        "--output heart.nii.gz");
    return [options] { return run(*options); };
}

MEDSEG_COMMAND(reconstruct, "Reconstruct structures in 3D from a mask on a slice", declare);

}  // namespace
}  // namespace medseg::cli
