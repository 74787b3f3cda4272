#include "medseg/infer/prediction.h"

#include <chrono>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/base/progress.h"
#include "medseg/dataset/slice_plan.h"
#include "medseg/infer/crf_refinement.h"
#include "medseg/infer/probability_spool.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

struct OutputPaths {
    fs::path labels;
    fs::path masks;          ///< folder of one mask per structure
    fs::path probabilities;  ///< folder of one probability volume per structure
    fs::path uncertainty;
};

/// TotalSegmentator calls every image ct.nii.gz: the folder names the case. nnU-Net appends the channel: X_0000 is X.
std::string caseName(const fs::path& input) {
    std::string name = imageStem(input);
    if (name == "ct" && input.has_parent_path()) return input.parent_path().filename().string();
    if (name.size() > 5 && name.ends_with("_0000")) name.resize(name.size() - 5);
    return name;
}

OutputPaths outputPathsFor(const PredictRequest& request, const fs::path& input) {
    OutputPaths paths;
    fs::path stem;
    if (request.outputIsFolder) {
        stem = request.output / caseName(input);
        paths.labels = stem.string() + ".nii.gz";
    } else {
        paths.labels = request.output;
        stem = request.output.parent_path() / imageStem(request.output);
    }
    paths.masks = stem;
    paths.uncertainty = stem.string() + "_uncertainty.nii.gz";
    paths.probabilities = stem.string() + "_probabilities";
    return paths;
}

void writeMasks(const LabelMap& labels, const LabelTable& table, const fs::path& folder) {
    createDirectories(folder);
    Volume<std::uint8_t> mask(labels.geometry());
    for (const Label& label : table.labels()) {
        labels.visit([&](const auto& voxels) {
            const auto* source = voxels.data();
            std::uint8_t* target = mask.data();
            const std::int64_t count = voxels.voxelCount();
            for (std::int64_t i = 0; i < count; ++i) target[i] = source[i] == label.id ? 1 : 0;
        });
        AnyVolume any(std::move(mask));
        writeImage(folder / (label.name + ".nii.gz"), any);
        mask = std::get<Volume<std::uint8_t>>(std::move(any));
    }
}

void predictFile(Segmenter& segmenter, const PredictRequest& request, const fs::path& input, const OutputPaths& paths,
                 PredictOutcome& outcome) {
    const Volume<float> image = readImage(input);
    const std::int64_t slices = SlicePlan::of(image.geometry(), segmenter.axis()).count;
    Progress progress(input.filename().string(), slices, "slices");
    ProbabilitySink sink;
    std::unique_ptr<ProbabilitySpool> spool;
    if (request.probabilities || request.crf) {
        const fs::path folder = request.probabilities ? paths.probabilities : fs::absolute(paths.labels).parent_path();
        spool = std::make_unique<ProbabilitySpool>(folder, image.geometry(), segmenter.axis(), segmenter.labels());
        sink = [&](int structure, std::int64_t slice, const float* values) { spool->add(structure, slice, values); };
    }
    Volume<float> uncertainty;
    LabelMap labels = segmenter.segment(
        image, [&] { progress.advance(); }, sink, request.uncertainty ? &uncertainty : nullptr);
    progress.finish();
    if (request.crf) labels = refineLabels(image, *spool, segmenter.labels(), segmenter.thresholds());
    if (request.cleanup) cleanLabels(labels, *request.cleanup);
    if (request.separate) writeMasks(labels, segmenter.labels(), paths.masks);
    if (request.probabilities) spool->writeVolumes();
    if (request.uncertainty) writeImage(paths.uncertainty, AnyVolume(std::move(uncertainty)));
    // Last, so that its presence says that the case is complete.
    writeLabelMap(paths.labels, labels);
    outcome.slices += slices;
}

}  // namespace

PredictOutcome predictFiles(Segmenter& segmenter, const PredictRequest& request) {
    const auto start = std::chrono::steady_clock::now();
    PredictOutcome outcome;
    std::exception_ptr firstError;
    for (const fs::path& input : request.inputs) {
        const OutputPaths paths = outputPathsFor(request, input);
        outcome.labelFiles.push_back(paths.labels);
        if (request.skipExisting && fs::exists(paths.labels)) {
            ++outcome.skipped;
            continue;
        }
        try {
            predictFile(segmenter, request, input, paths, outcome);
            ++outcome.volumes;
        } catch (const DataError& error) {
            // One damaged file must not cost the night's other cases.
            if (request.inputs.size() > 1) logWarning("{}", error.what());
            if (!firstError) firstError = std::current_exception();
        }
    }
    if (firstError) std::rethrow_exception(firstError);
    outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    outcome.networkSeconds = segmenter.networkSeconds();
    return outcome;
}

}  // namespace medseg
