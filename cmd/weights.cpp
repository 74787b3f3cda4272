// medseg weights: released checkpoints, listed, checked, downloaded.
#include <cstdlib>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/weights/catalogue.h"
#include "medseg/weights/check.h"
#include "medseg/weights/download.h"

namespace medseg::cli {
namespace {

using Run = std::function<int()>;

std::vector<WeightFile> wanted(const std::string& name) {
    return name.empty() ? weightCatalogue() : weightsNamed(name);
}

Run declareList(CLI::App& app) {
    struct Options {
        std::string name;
        bool json = false;
    };
    const auto options = std::make_shared<Options>();
    app.add_option("model", options->name, "Model or file name (default: all)")->type_name("MODEL");
    app.add_flag("--json", options->json, "Print one JSON array");
    return [options] {
        auto list = nlohmann::ordered_json::array();
        for (const WeightFile& weight : wanted(options->name)) {
            list.push_back({{"model", weight.model},
                            {"file", weight.file},
                            {"megabytes", weight.megabytes},
                            {"licence", weight.licence},
                            {"gated", weight.gated},
                            {"url", resolveWeightUrl(weight.url)},
                            {"note", weight.note}});
            if (!options->json)
                fmt::print("{:<18} {:<24} {:>6.0f} MB  {:<12} {}{}\n{:<18} {}\n", weight.model, weight.file,
                           weight.megabytes, weight.licence, weight.note,
                           weight.gated ? " (gated: needs HF_TOKEN)" : "", "",
                           weight.url.empty() ? "no stable address" : resolveWeightUrl(weight.url));
        }
        if (options->json) fmt::print("{}\n", list.dump(1));
        return static_cast<int>(ExitCode::Done);
    };
}

Run declareCheck(CLI::App& app) {
    struct Options {
        std::string folder;
        std::string name;
        bool json = false;
    };
    const auto options = std::make_shared<Options>();
    app.add_option("folder", options->folder, "Folder with the files")->required()->type_name("DIR");
    app.add_option("model", options->name, "Model or file name (default: all known files that are there)")
        ->type_name("MODEL");
    app.add_flag("--json", options->json, "Print one JSON array");
    app.footer("Exit code 3 when a file is empty or damaged, or one of the MODEL is missing.");
    return [options] {
        auto list = nlohmann::ordered_json::array();
        bool bad = false;
        for (const WeightState& state : checkWeights(options->folder, wanted(options->name))) {
            const bool missing = state.kind == WeightState::Kind::Missing;
            if (missing && options->name.empty()) continue;
            bad = bad || missing || state.kind == WeightState::Kind::Empty || state.kind == WeightState::Kind::Damaged;
            list.push_back(
                {{"file", state.path.string()}, {"state", weightStateName(state.kind)}, {"detail", state.detail}});
            if (!options->json)
                fmt::print("{:<12} {} {}\n", weightStateName(state.kind), state.path.string(), state.detail);
        }
        if (options->json) fmt::print("{}\n", list.dump(1));
        if (!options->json && list.empty()) fmt::print("no known weights in {}\n", options->folder);
        return static_cast<int>(bad ? ExitCode::BadInput : ExitCode::Done);
    };
}

struct DownloadOptions {
    std::string name;
    std::string folder = ".";
    DownloadRequest request;
};

int download(const DownloadOptions& options) {
    std::vector<WeightFile> weights;
    if (options.request.url.empty()) {
        if (options.name.empty()) throw UsageError("give a MODEL of `medseg weights list`, or --url");
        weights = weightsNamed(options.name);
    } else {
        WeightFile one;
        one.url = options.request.url;
        const std::string path = one.url.substr(0, one.url.find_first_of("?#"));
        one.file = options.name.empty() ? path.substr(path.rfind('/') + 1) : options.name;
        if (one.file.empty()) throw UsageError(fmt::format("{}: names no file: give the name as MODEL", one.url));
        weights.push_back(one);
    }
    const char* token = std::getenv("HF_TOKEN");
    for (const WeightFile& weight : weights) {
        if (weight.url.empty()) throw UsageError(fmt::format("{}: {}", weight.file, weight.note));
        DownloadRequest request = options.request;
        request.url = resolveWeightUrl(weight.url);
        request.output = std::filesystem::path(options.folder) / weight.file;
        const bool hosted = weight.url.starts_with("hf:") || !options.request.url.empty();
        if (token != nullptr && hosted) request.token = token;
        if (std::filesystem::exists(request.output)) {
            logInfo("{}: is there already", request.output.string());
            continue;
        }
        const DownloadResult result = downloadFile(request);
        logInfo("{}: {} bytes{}, SHA-256 {}{}", request.output.string(), result.bytes,
                result.resumed ? " (continued)" : "", result.sha256, result.checked ? ", as expected" : "");
        fmt::print("{}\n", request.output.string());
    }
    return static_cast<int>(ExitCode::Done);
}

Run declareDownload(CLI::App& app) {
    const auto options = std::make_shared<DownloadOptions>();
    app.add_option("model", options->name, "Model or file of `medseg weights list`; with --url the name to save as")
        ->type_name("MODEL");
    app.add_option("-o,--output", options->folder, "Folder for the files (default: here)")->type_name("DIR");
    app.add_option("--url", options->request.url, "Any other address")->type_name("URL");
    app.add_option("--sha256", options->request.sha256, "Sum that the file must have")->type_name("HEX");
    app.footer(
        "An interrupted download is continued. HF_TOKEN is sent to Hugging Face (HF_ENDPOINT) for gated models.\n\n"
        "Example: HF_TOKEN=... medseg weights download sam3d --output checkpoints/hf");
    return [options] { return download(*options); };
}

Run declareWeights(CLI::App& app) {
    app.require_subcommand(1);
    const auto chosen = std::make_shared<Run>();
    const auto add = [&](const char* name, const char* summary, Run (*declareAction)(CLI::App&)) {
        CLI::App* sub = app.add_subcommand(name, summary);
        sub->fallthrough();
        const Run action = declareAction(*sub);
        sub->callback([chosen, action] { *chosen = action; });
    };
    add("list", "Known checkpoints: files, sizes, licences, addresses", declareList);
    add("check", "Whether the files in a folder are whole", declareCheck);
    add("download", "Fetch checkpoints (never done unless asked for)", declareDownload);
    return [chosen] { return (*chosen)(); };
}

MEDSEG_COMMAND(weights, "List, check and download released checkpoints", declareWeights);

}  // namespace
}  // namespace medseg::cli
