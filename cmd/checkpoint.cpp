// medseg checkpoint: look into checkpoints and convert them.
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/lora_checkpoint.h"
#include "medseg/nn/network_module.h"

namespace medseg::cli {
namespace {

using Run = std::function<int()>;

/// A subcommand declares its options on `app` and returns what runs it.
struct Action {
    const char* name;
    const char* summary;
    Run (*declare)(CLI::App& app);
};

Run declareInspect(CLI::App& app) {
    struct Options {
        std::string file;
        bool json = false;
        bool statistics = false;
    };
    const auto options = std::make_shared<Options>();
    app.add_option("file", options->file, "Checkpoint: .pth, .pt, .ckpt or .safetensors")
        ->required()
        ->type_name("FILE");
    app.add_flag("--json", options->json, "Print one JSON object");
    app.add_flag("--stats", options->statistics,
                 "Also min, max, mean and NaN count of each tensor, and the file's checksums (reads all of it)");
    return [options] {
        const Checkpoint checkpoint = readCheckpoint(options->file);
        const auto description = describeCheckpoint(checkpoint, {options->statistics});
        if (options->json) {
            fmt::print("{}\n", description.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
        } else {
            fmt::print("{}", formatCheckpointDescription(description));
        }
        return static_cast<int>(ExitCode::Done);
    };
}

Run declareConvert(CLI::App& app) {
    struct Options {
        std::string input;
        std::string output;
        std::string dtype;
        ConvertOptions convert;
    };
    const auto options = std::make_shared<Options>();
    app.add_option("input", options->input, "Checkpoint to read")->required()->type_name("IN");
    app.add_option("output", options->output, "File to write: .safetensors, or .pth, .pt, .ckpt, .bin for PyTorch")
        ->required()
        ->type_name("OUT");
    app.add_option("--dtype", options->dtype, "Store floating tensors as fp16, bf16 or fp32; default: as they are")
        ->check(CLI::IsMember({"fp16", "bf16", "fp32"}))
        ->type_name("TYPE");
    app.add_option("--extract", options->convert.entry,
                   "Entry to take, e.g. model or ema; default: the weights (model, state_dict, network_weights ...)")
        ->type_name("KEY");
    app.add_option("--strip-prefix", options->convert.stripPrefix,
                   "Remove this from the start of names; \"module.\" is removed anyway where all names have it")
        ->type_name("PREFIX");
    app.footer("Example: medseg checkpoint convert medsam_model_latest.pth medsam.safetensors --dtype fp16");
    return [options] {
        if (!options->dtype.empty()) options->convert.floatingDtype = tensorDtypeFromName(options->dtype);
        const ConvertResult result = convertCheckpoint(options->input, options->output, options->convert);
        logInfo("{}: {} tensors, {} bytes{}", options->output, result.tensorCount, result.bytes,
                result.source.path.empty() ? "" : fmt::format(", from \"{}\"", fmt::join(result.source.path, ".")));
        return static_cast<int>(ExitCode::Done);
    };
}

/// A model and the slices it was trained on.
struct TrainedModel {
    std::string model;
    std::string cache;
};

void declareTrainedModel(CLI::App& app, TrainedModel& options) {
    app.add_option("model", options.model, "Model folder (its best.pth) or a .pth that medseg trained")
        ->required()
        ->type_name("MODEL");
    app.add_option("--cache", options.cache,
                   "Slice cache that the model was trained on (default: cache beside the model folder)")
        ->type_name("DIR");
}

std::filesystem::path cacheOf(const TrainedModel& options) {
    if (!options.cache.empty()) return options.cache;
    const std::filesystem::path model(options.model);
    const auto folder = std::filesystem::is_directory(model) ? model : model.parent_path();
    return (folder / "..").lexically_normal() / "cache";
}

Run declareQuantize(CLI::App& app) {
    struct Options : TrainedModel {
        int slices = 64;
    };
    const auto options = std::make_shared<Options>();
    declareTrainedModel(app, *options);
    app.add_option("--slices", options->slices, "Training slices to calibrate on, spread evenly")
        ->check(CLI::Range(4, 100000))
        ->type_name("N");
    app.footer(
        "Writes quantization.json beside the checkpoint. Then: medseg predict --precision int8 ...\n\n"
        "Example: medseg checkpoint quantize out/unet117/model --cache out/unet117/cache");
    return [options] {
        QuantizeRequest request;
        request.model = options->model;
        request.slices = options->slices;
        request.cache = cacheOf(*options);
        const QuantizeOutcome outcome = loadNetworkModule().quantize(request);
        fmt::print("{}: calibrated on {} slices\n", outcome.file.string(), outcome.slices);
        return static_cast<int>(ExitCode::Done);
    };
}

Run declareMergeLora(CLI::App& app) {
    struct Options {
        std::string base;
        std::string adapters;
        std::string output;
    };
    const auto options = std::make_shared<Options>();
    app.add_option("base", options->base, "Checkpoint that the adapters were trained on")
        ->required()
        ->type_name("BASE");
    app.add_option("adapters", options->adapters, "LoRA checkpoint: .pt or .safetensors")
        ->required()
        ->type_name("LORA");
    app.add_option("output", options->output, "File to write: like BASE, or .safetensors with its tensors alone")
        ->required()
        ->type_name("OUT");
    app.footer("Example: medseg checkpoint merge-lora ss_generator.ckpt best.pt ss_generator_heart.ckpt");
    return [options] {
        const LoraMergeResult result = mergeLoraCheckpoint(options->base, options->adapters, options->output);
        logInfo("{}: {} layers merged, {} tensors replaced", options->output, result.mergedLayers,
                result.replacedTensors);
        return static_cast<int>(ExitCode::Done);
    };
}

Run declareThresholds(CLI::App& app) {
    const auto options = std::make_shared<TrainedModel>();
    declareTrainedModel(app, *options);
    app.footer(
        "For models with sigmoid outputs. Writes thresholds.json beside the checkpoint: for each structure the "
        "threshold\n"
        "with the highest Dice on the validation slices. Then: medseg predict --searched-thresholds ...\n\n"
        "Example: medseg checkpoint thresholds out/unet117/model --cache out/unet117/cache");
    return [options] {
        const ThresholdOutcome outcome = loadNetworkModule().searchThresholds({options->model, cacheOf(*options)});
        fmt::print("{}: {} validation slices, mean Dice {:.4f} -> {:.4f}\n", outcome.file.string(), outcome.slices,
                   outcome.diceBefore, outcome.diceAfter);
        return static_cast<int>(ExitCode::Done);
    };
}

constexpr Action kActions[] = {
    {"inspect", "What a checkpoint is, and the names, shapes, types and statistics of its tensors", declareInspect},
    {"convert", "Write the weights alone to another format: wrappers and module. prefixes are stripped",
     declareConvert},
    {"quantize", "Calibrate a trained model for 8-bit prediction", declareQuantize},
    {"merge-lora", "Add low-rank adapters to the weights they were trained on", declareMergeLora},
    {"thresholds", "Choose each structure's threshold on the validation slices", declareThresholds},
};

Run declareCheckpoint(CLI::App& app) {
    app.require_subcommand(1);
    const auto chosen = std::make_shared<Run>();
    for (const Action& action : kActions) {
        CLI::App* sub = app.add_subcommand(action.name, action.summary);
        sub->fallthrough();
        const Run run = action.declare(*sub);
        sub->callback([chosen, run] { *chosen = run; });
    }
    return [chosen] { return (*chosen)(); };
}

MEDSEG_COMMAND(checkpoint, "Inspect, convert, quantise and merge network weights", declareCheckpoint);

}  // namespace
}  // namespace medseg::cli
