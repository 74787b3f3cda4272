// medseg prepare --form nnunet, nnunet-check and nnunet-fingerprint.
#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/nnunet_conversion.h"
#include "prepare_forms.h"

namespace medseg::cli {

void declareNnunetOptions(CLI::App& app, NnunetOptions& options) {
    constexpr const char* kGroup = "nnU-Net (--form nnunet, nnunet-check, nnunet-fingerprint)";
    app.add_option("--channels", options.channels, "Names of the channels (default CT)")
        ->delimiter(',')
        ->type_name("NAME,...")
        ->group(kGroup);
    app.add_option("--more-suffixes", options.moreSuffixes,
                   "Endings of the image names of the second channel and on; the first has --image-suffix")
        ->delimiter(',')
        ->type_name("TEXT,...")
        ->group(kGroup);
    app.add_option("--label-names", options.labelNames, "Names of labels 1, 2 ... (default label_1, label_2 ...)")
        ->delimiter(',')
        ->type_name("NAME,...")
        ->group(kGroup);
}

int runNnunet(const PairOptions& pairs, const NnunetOptions& options, const std::string& output) {
    NnunetSettings settings{options.channels, {pairs.imageSuffix}, options.labelNames};
    settings.suffixes.insert(settings.suffixes.end(), options.moreSuffixes.begin(), options.moreSuffixes.end());
    if (output.empty()) throw UsageError("give --output DIR");
    std::vector<CaseFailure> problems;
    const std::vector<PipelineCase> cases = nnunetCases(pairsFrom(pairs, problems), settings);
    const CasePipelineResult result = runCasePipeline(nnunetForm(settings), cases, output);
    writeNnunetDescription(fs::path(output) / "dataset.json", describeNnunet(result, settings));
    problems.insert(problems.end(), result.failures.begin(), result.failures.end());
    fmt::print("{}: {} cases, {} channels\n", output, result.records.size(), settings.channels.size());
    if (!problems.empty())
        throw WorkError(
            fmt::format("{} cases could not be prepared: first {}", problems.size(), problems.front().message));
    return static_cast<int>(ExitCode::Done);
}

int runNnunetCheck(const std::string& input) {
    if (input.empty()) throw UsageError("give --input DIR, the folder with dataset.json");
    const std::vector<std::string> faults = checkNnunetDataset(input);
    for (const std::string& fault : faults) fmt::print("{}\n", fault);
    if (!faults.empty()) throw DataError(input, fmt::format("faults found: {}, see above", faults.size()));
    fmt::print("{}: no faults\n", input);
    return static_cast<int>(ExitCode::Done);
}

int runNnunetFingerprint(const std::string& input, const std::string& output) {
    if (input.empty()) throw UsageError("give --input DIR, the folder with dataset.json");
    const fs::path folder = output.empty() ? input : output;
    createDirectories(folder);
    const fs::path file = folder / "dataset_fingerprint.json";
    writeTextFile(file, toJson(nnunetFingerprint(input)).dump(4) + '\n');
    fmt::print("{}\n", file.string());
    return static_cast<int>(ExitCode::Done);
}

}  // namespace medseg::cli
