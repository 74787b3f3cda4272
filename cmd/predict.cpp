// medseg predict: label maps from a trained model.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/image_inputs.h"
#include "medseg/io/image_file.h"
#include "medseg/nn/network_module.h"
#include "predict_prompted.h"
#include "predict_propagation.h"

namespace medseg::cli {
namespace {

struct Options {
    std::vector<std::string> models;
    std::string input;
    std::string output;
    PredictRequest request;
    LabelCleanup cleanup;
    PromptedOptions prompted;
    PropagationCliOptions propagation;
    bool json = false;
};

int run(Options& options) {
    PredictRequest& request = options.request;
    request.models.assign(options.models.begin(), options.models.end());
    const ImageInputs inputs = findImageInputs(options.input);
    request.inputs = inputs.files;
    request.output = options.output;
    if (options.cleanup.any()) request.cleanup = options.cleanup;
    request.outputIsFolder = inputs.isFolder;
    if (!inputs.isFolder && !isImageName(options.output)) {
        // "out/" or a folder that exists: the file takes the input's name.
        if (!options.output.ends_with('/') && !std::filesystem::is_directory(options.output))
            throw UsageError(fmt::format("{}: not the name of an image: use .nii.gz, or a folder", options.output));
        request.outputIsFolder = true;
    }
    const auto propagation = propagationFrom(options.propagation, request.separate);
    if (propagation || options.prompted.prompts.any())
        return runPrompted(options.prompted, request, propagation, options.json);
    if (loadNetworkModule().needsPrompts(request.models.front()))
        throw UsageError(
            fmt::format("{}: needs to be told what to segment: give --box, --point, --boxes-from or "
                        "--prompts",
                        options.models.front()));
    const PredictOutcome outcome = loadNetworkModule().predict(request);
    logInfo("{} volumes ({} skipped), {} slices in {:.1f} s, {:.1f} s of it in the network", outcome.volumes,
            outcome.skipped, outcome.slices, outcome.seconds, outcome.networkSeconds);
    if (options.json) {
        nlohmann::json files = nlohmann::json::array();
        for (const auto& file : outcome.labelFiles) files.push_back(file.string());
        fmt::print("{}\n", nlohmann::json{{"files", files},
                                          {"volumes", outcome.volumes},
                                          {"skipped", outcome.skipped},
                                          {"slices", outcome.slices},
                                          {"seconds", outcome.seconds},
                                          {"network_seconds", outcome.networkSeconds}}
                               .dump());
    } else {
        for (const auto& file : outcome.labelFiles) fmt::print("{}\n", file.string());
    }
    return 0;
}

std::function<int()> declare(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    auto& request = options->request;
    app.add_option(
           "-m,--model", options->models,
           "Model folder (its best.pth) or a .pth that medseg trained; several vote with their mean probability. With "
           "prompts: also official checkpoints of SAM, MedSAM, MobileSAM, LiteMedSAM, SAM 2, MedSAM2 and EfficientTAM")
        ->required()
        ->type_name("DIR|FILE");
    app.add_option("-i,--input", options->input,
                   "Image (CT in HU), folder of images, or folder of TotalSegmentator cases (CASE/ct.nii.gz)")
        ->required()
        ->type_name("FILE|DIR");
    app.add_option("-o,--output", options->output,
                   "Label map to write for one image; folder that gets CASE.nii.gz for a folder")
        ->required()
        ->type_name("FILE|DIR");
    app.add_flag("--separate", request.separate, "Also write one 0/1 mask per structure to CASE/<structure>.nii.gz");
    app.add_flag(
        "--probabilities", request.probabilities,
        "Also write probabilities 0..1 to CASE_probabilities/<structure>.nii.gz (below half the threshold: 0)");
    app.add_flag("--uncertainty", request.uncertainty,
                 "Also write CASE_uncertainty.nii.gz: entropy of the probabilities, 0 (sure) to 1");
    app.add_option(
           "--mirror", request.segmenter.mirror,
           "Average over mirrored input; for models trained with flips. x: columns, y: rows, z: slices (3D models)")
        ->check(CLI::IsMember({"x", "y", "z"}))
        ->delimiter(',')
        ->type_name("AXES");
    app.add_option(
           "--precision", request.segmenter.precision,
           "fp32, bf16 or int8 (U-Nets, after `medseg checkpoint quantize`); of SAM and SAM 2 the image encoder's")
        ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
        ->type_name("NAME");
    app.add_flag("--continue", request.skipExisting, "Skip inputs whose output exists");
    app.add_option("--device", request.segmenter.device, "cpu, cuda or cuda:N")->type_name("NAME");
    app.add_option("--batch-size", request.segmenter.batchSize,
                   "Slices or patches at once; 0 = as the model's recipe says")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N");
    app.add_option(
           "--overlap", request.segmenter.overlap,
           "3D models: share of neighbouring patches that overlaps, 0..0.95; below 0 = as the model's recipe says")
        ->check(CLI::Range(-1.0, 0.95))
        ->type_name("SHARE");
    app.add_option(
           "--threshold", request.segmenter.threshold,
           "Probability from which a pixel counts (sigmoid outputs), 0..1; below 0 = as the model's recipe says")
        ->check(CLI::Range(-1.0, 1.0))
        ->type_name("P");
    app.add_flag("--searched-thresholds", request.segmenter.searchedThresholds,
                 "Each structure's own threshold, as `medseg checkpoint thresholds` found it (of the first model)");
    app.add_flag("--crf", request.crf,
                 "Let the probabilities follow the edges of the image (dense CRF) before labels are chosen");
    LabelCleanup& cleanup = options->cleanup;
    const std::string cleaning = "Clean the labels (any of these options replaces the recipe's choice)";
    app.add_flag("--largest-component", cleanup.largestComponent,
                 "Keep the largest 26-connected component of every structure only")
        ->group(cleaning);
    app.add_flag("--fill-holes", cleanup.fillHoles, "Fill background that one structure encloses")->group(cleaning);
    app.add_option("--remove-small", cleanup.smallVoxels, "Remove 26-connected components of fewer voxels; 0 = off")
        ->check(CLI::NonNegativeNumber)
        ->type_name("VOXELS")
        ->group(cleaning);
    app.add_option("--smooth", cleanup.smoothMm, "Smooth across slices: Gaussian votes, sigma in mm; 0 = off")
        ->check(CLI::NonNegativeNumber)
        ->type_name("MM")
        ->group(cleaning);
    declarePromptedOptions(app, options->prompted);
    declarePropagationOptions(app, options->propagation);
    app.add_flag("--json", options->json, "Print one JSON object with files and times");
    app.footer(
        "Output has the grid, orientation and position of the input, and carries the label names. Files appear under\n"
        "their final name only when complete.\n\n"
        "Examples: medseg predict --model out/unet117/model --input ct.nii.gz --output organs.nii.gz --separate\n"
        "          medseg predict --model medsam_vit_b.pth --input ct.nii.gz --box 210,180,260,240,57 --output "
        "mask.nii.gz\n"
        "          medseg predict --model sam_vit_b.pth --input photo.png --point 120,80 --multimask --output "
        "mask.png");
    return [options] { return run(*options); };
}

MEDSEG_COMMAND(predict, "Segment images with a trained model", declare);

}  // namespace
}  // namespace medseg::cli
