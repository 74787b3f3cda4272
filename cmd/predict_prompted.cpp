#include "predict_prompted.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/logging.h"

namespace medseg::cli {
namespace {

constexpr const char* kPrompts = "Prompts (SAM, MedSAM and their relatives)";

nlohmann::ordered_json toJson(const PromptedOutcome& outcome) {
    auto images = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < outcome.labelFiles.size(); ++i) {
        auto objects = nlohmann::ordered_json::array();
        for (const PromptedObject& object : outcome.objects[i])
            objects.push_back({{"label", object.label},
                               {"slice", object.slice},
                               {"expected_iou", object.expectedIou},
                               {"pixels", object.pixels}});
        images.push_back({{"file", outcome.labelFiles[i].string()}, {"objects", objects}});
    }
    return {{"images", images}, {"skipped", outcome.skipped}, {"slices", outcome.slices}, {"seconds", outcome.seconds}};
}

}  // namespace

void declarePromptedOptions(CLI::App& app, PromptedOptions& options) {
    // A text with commas is one value.
    const auto many = [&](const char* name, std::vector<std::string>& value, const char* meaning, const char* type) {
        app.add_option(name, value, meaning)->type_name(type)->group(kPrompts)->allow_extra_args(false);
    };
    many("--box", options.prompts.boxes,
         "Box in pixels (first one: 0), repeatable: x0,y0,x1,y1 on a picture; x0,y0,x1,y1,z on a slice; "
         "x0,y0,z0,x1,y1,z1 on all slices from z0 to z1. LABEL: before it when the label is not 1",
         "[LABEL:]NUMBERS");
    many("--point", options.prompts.points, "Point inside the object: x,y or x,y,z, repeatable", "[LABEL:]NUMBERS");
    many("--exclude", options.prompts.exclude, "Point outside the object, repeatable", "[LABEL:]NUMBERS");
    app.add_flag("--world", options.prompts.world,
                 "Boxes x0,y0,z0,x1,y1,z1 and points x,y,z are in world millimetres (RAS+)")
        ->group(kPrompts);
    app.add_option("--boxes-from", options.prompts.boxesFrom,
                   "Label map, or folder of label maps named as the images: a box for each label on each slice")
        ->type_name("FILE|DIR")
        ->group(kPrompts);
    app.add_option("--box-margin", options.prompts.margin, "Pixels added to those boxes on all sides")
        ->check(CLI::NonNegativeNumber)
        ->type_name("PIXELS")
        ->group(kPrompts);
    app.add_option("--prompts", options.prompts.csv,
                   "CSV with a header: x0,y0,x1,y1 or x,y,inside; and where needed label, z, image")
        ->type_name("FILE")
        ->group(kPrompts);
    app.add_option("--style", options.style,
                   "How the network wants images: auto (from the checkpoint), sam, medsam or litemedsam")
        ->check(CLI::IsMember({"auto", "sam", "medsam", "litemedsam"}))
        ->type_name("NAME")
        ->group(kPrompts);
    app.add_option("--modality", options.modality,
                   "Volumes: CT shows a window, anything else percentiles (default: as trained, else guessed)")
        ->type_name("NAME")
        ->group(kPrompts);
    app.add_option("--window", options.window, "CT: HU range to show (default -160,240)")
        ->delimiter(',')
        ->expected(2)
        ->type_name("LOW,HIGH")
        ->group(kPrompts);
    app.add_flag("--multimask", options.multimask, "Of three candidates take the one with the highest expected IoU")
        ->group(kPrompts);
    app.add_option("--prompt-batch", options.promptBatch, "Prompts of a slice that are decoded at once")
        ->check(CLI::Range(1, 4096))
        ->type_name("N")
        ->group(kPrompts);
}

int runPrompted(const PromptedOptions& options, const PredictRequest& general,
                const std::optional<PropagationOptions>& propagation, bool json) {
    if (general.models.size() > 1) throw UsageError("--model: prompts take a single model");
    PromptedRequest request;
    request.model = general.models.front();
    request.inputs = general.inputs;
    request.output = general.output;
    request.outputIsFolder = general.outputIsFolder;
    request.skipExisting = general.skipExisting;
    request.device = general.segmenter.device;
    request.precision = general.segmenter.precision;
    request.prompts = options.prompts;
    request.propagation = propagation;
    request.picture.modality = options.modality;
    if (!options.window.empty()) request.picture.window = {options.window[0], options.window[1]};
    request.style = options.style;
    request.multimask = options.multimask;
    request.batchSize = options.promptBatch;
    const PromptedOutcome outcome = loadNetworkModule().predictPrompted(request);
    std::size_t prompts = 0;
    for (const auto& objects : outcome.objects) prompts += objects.size();
    logInfo("{} images ({} skipped), {} slices, {} prompts in {:.1f} s", outcome.images, outcome.skipped,
            outcome.slices, prompts, outcome.seconds);
    if (json) {
        fmt::print("{}\n", toJson(outcome).dump());
        return 0;
    }
    for (const auto& file : outcome.labelFiles) fmt::print("{}\n", file.string());
    return 0;
}

}  // namespace medseg::cli
