#include "medseg/infer/propagated_prediction.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/base/progress.h"
#include "medseg/dataset/image_inputs.h"
#include "medseg/dataset/medsam_image.h"
#include "medseg/dataset/prompts.h"
#include "medseg/imaging/lung_mask.h"
#include "medseg/io/image_file.h"
#include "medseg/io/npy.h"
#include "medseg/io/npy_header.h"
#include "medseg/nn/device.h"
#include "medseg/nn/sam2/model_file.h"

namespace medseg {
namespace {

/// One volume, ready for the network.
struct OpenedCase {
    Volume<std::uint8_t> slices;
    LabelMap labels;           ///< of an .npz file; else empty
    Volume<float> hounsfield;  ///< only for lungs
};

Volume<std::uint8_t> npzVolume(const NpzFile& file, const std::string& name, const Geometry& geometry,
                               const fs::path& path) {
    const NpyArray array = file.read(name);
    if (array.type != NpyType::U8 || array.elementCount() != geometry.voxelCount())
        throw DataError(path.string(), fmt::format("its array {} is no volume of bytes like imgs", name));
    Volume<std::uint8_t> volume(geometry);
    std::copy(array.bytes.begin(), array.bytes.end(), volume.data());
    return volume;
}

OpenedCase openNpz(const fs::path& path) {
    const NpzFile file(path);
    if (!file.contains("imgs")) throw DataError(path.string(), "no array imgs in it: not a case of medseg prepare");
    const std::vector<std::int64_t> shape = file.header("imgs").shape;
    if (shape.size() != 3) throw DataError(path.string(), "its array imgs has not the axes z, y, x");
    Vec3 spacing{1, 1, 1};
    if (file.contains("spacing")) {
        const std::vector<double> values = file.read("spacing").toDoubles();
        for (std::size_t axis = 0; axis < std::min<std::size_t>(3, values.size()); ++axis)
            if (values[axis] > 0) spacing[axis] = values[axis];
    }
    const Geometry geometry = Geometry::axisAligned({shape[2], shape[1], shape[0]}, spacing);
    OpenedCase opened;
    opened.slices = npzVolume(file, "imgs", geometry, path);
    if (file.contains("gts")) opened.labels = LabelMap(npzVolume(file, "gts", geometry, path));
    return opened;
}

OpenedCase openVolume(const fs::path& path, const PictureRules& asked, bool lungs) {
    OpenedCase opened;
    StoredImage image = readStoredImage(path);
    if (lungs) opened.hounsfield = scaledToFloat(image.voxels, image.header.slope, image.header.inter);
    MedsamImageRules rules;
    rules.modality = modalityFromName(asked.modality.empty() ? "CT" : asked.modality);
    if (asked.window) rules.window = Window::fromRange(asked.window->at(0), asked.window->at(1));
    const MedsamImage shown(std::move(image), rules);
    std::vector<std::int64_t> all(static_cast<std::size_t>(shown.geometry().nz()));
    for (std::size_t z = 0; z < all.size(); ++z) all[z] = static_cast<std::int64_t>(z);
    opened.slices = Volume<std::uint8_t>(shown.geometry());
    shown.slicesToBytes(all, opened.slices.voxels());
    return opened;
}

std::vector<TravellingLabel> bound(const LabelMap& labels, const PropagationOptions& options) {
    const auto rules = SlicePropagationRules::from(options);
    const Index3& size = labels.geometry().size();
    std::vector<TravellingLabel> all;
    for (LabelBoxes& boxes : labelBoxesBySlice(labels, rules.shiftAt(std::max(size[0], size[1])), rules.limit))
        all.push_back({std::move(boxes), true});
    return all;
}

std::vector<TravellingLabel> fromPrompts(const std::vector<Prompt>& prompts) {
    std::map<int, TravellingLabel> labels;
    for (const Prompt& prompt : prompts) {
        if (!prompt.box) throw UsageError("points cannot travel from slice to slice: give boxes");
        TravellingLabel& label = labels[prompt.label];
        label.boxes.label = prompt.label;
        const auto& b = *prompt.box;
        label.boxes.boxes.push_back({prompt.label, prompt.slice, {b[0], b[1], b[2], b[3]}});
        label.boxes.pixels.push_back(static_cast<std::int64_t>(label.boxes.boxes.back().box.area()));
    }
    std::vector<TravellingLabel> all;
    for (auto& [id, label] : labels) all.push_back(std::move(label));
    return all;
}

std::vector<TravellingLabel> labelsFor(const PromptedRequest& request, const OpenedCase& opened, const fs::path& input,
                                       LabelTable& table) {
    const PropagationOptions& options = *request.propagation;
    if (options.lungs) {
        if (opened.hounsfield.empty())
            throw DataError(input.string(), "lungs are found in CT volumes only, not in .npz");
        table = LabelTable::fromNames({"lung_right", "lung_left"});
        std::vector<TravellingLabel> labels = bound(LabelMap(segmentLungs(opened.hounsfield)), options);
        if (labels.empty()) logWarning("{}: no lung was found: its label map is empty", input.string());
        return labels;
    }
    if (!request.prompts.boxesFrom.empty()) {
        const fs::path file = labelFileFor(request.prompts.boxesFrom, input);
        LabelMap labels = readLabelMap(file);
        requireSameGeometry(opened.slices.geometry(), input.string(), labels.geometry(), file.string());
        table = labels.table();
        return bound(labels, options);
    }
    if (request.prompts.any())
        return fromPrompts(resolvePrompts(request.prompts, opened.slices.geometry(), input, table));
    if (opened.labels.geometry().voxelCount() == opened.slices.voxelCount()) return bound(opened.labels, options);
    throw UsageError(fmt::format("{}: nothing to start from: give --box, --boxes-from or --lungs", input.string()));
}

/// Names for all labels: those of the prompts, else of the model, else "label_N".
LabelTable namesFor(const std::vector<TravellingLabel>& labels, const LabelTable& given, const LabelTable& model) {
    LabelTable table;
    for (const TravellingLabel& label : labels) {
        const int id = label.boxes.label;
        const Label* known = given.findId(id) != nullptr ? given.findId(id) : model.findId(id);
        table.add({id, known != nullptr ? known->name : fmt::format("label_{}", id), labelColor(id)});
    }
    return table;
}

void writeMasks(const fs::path& folder, PropagatedSegmentation& result, const std::vector<TravellingLabel>& labels,
                const LabelTable& table) {
    createDirectories(folder);
    for (std::size_t i = 0; i < result.masks.size(); ++i)
        writeImage(folder / (table.nameOf(labels[i].boxes.label) + ".nii.gz"), AnyVolume(std::move(result.masks[i])));
}

std::int64_t environmentNumber(const char* name, std::int64_t fallback) {
    const char* text = std::getenv(name);
    return text != nullptr && *text != '\0' ? std::atoll(text) : fallback;
}

class CasePredictor {
  public:
    explicit CasePredictor(const PromptedRequest& request)
        : request_(request), model_(loadSam2(request.model, request.propagation->imageSize)) {
        model_.network->to(deviceFromName(request.device));
        request_.propagation->precision = request.precision;
        if (request_.picture.modality.empty() && model_.recipe) request_.picture.modality = "CT";
        if (!request_.picture.window && model_.recipe)
            request_.picture.window = windowLimits(model_.recipe->prepareMedsam);
        logInfo("{}: SAM 2, input {} pixels", model_.file.string(), model_.network->settings().imageSize);
    }

    void run(const fs::path& input, const fs::path& output, PromptedOutcome& outcome) {
        const bool npz = endsWithIgnoringCase(input.string(), ".npz");
        const OpenedCase opened =
            npz ? openNpz(input) : openVolume(input, request_.picture, request_.propagation->lungs);
        LabelTable given;
        const std::vector<TravellingLabel> labels = labelsFor(request_, opened, input, given);
        const LabelTable table = namesFor(labels, given, model_.labels);
        Progress progress(input.filename().string(), 0, "masks");
        PropagatedSegmentation result = segmentPropagated(model_.network, opened.slices, labels, *request_.propagation,
                                                          [&] { progress.advance(); });
        progress.finish();
        result.labels.setTable(table);
        if (request_.propagation->separate) writeMasks(output.parent_path() / imageStem(output), result, labels, table);
        writeLabelMap(output, result.labels);
        outcome.slices += result.encodings;
        outcome.objects.push_back(std::move(result.objects));
    }

  private:
    PromptedRequest request_;
    LoadedSam2 model_;
};

}  // namespace

PromptedOutcome predictPropagatedFiles(const PromptedRequest& request) {
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t world = std::max<std::int64_t>(1, environmentNumber("WORLD_SIZE", 1));
    const std::int64_t rank = environmentNumber("RANK", 0);
    PromptedOutcome outcome;
    CasePredictor predictor(request);
    std::exception_ptr firstError;
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
        if (static_cast<std::int64_t>(i) % world != rank) continue;
        const fs::path& input = request.inputs[i];
        const fs::path output =
            request.outputIsFolder ? request.output / (caseNameOf(input) + ".nii.gz") : request.output;
        outcome.labelFiles.push_back(output);
        if (request.skipExisting && fs::exists(output)) {
            ++outcome.skipped;
            outcome.objects.emplace_back();
            continue;
        }
        try {
            predictor.run(input, output, outcome);
            ++outcome.images;
        } catch (const DataError& error) {
            // One damaged file must not cost the night's other cases.
            if (request.inputs.size() > 1) logWarning("{}", error.what());
            if (!firstError) firstError = std::current_exception();
            outcome.objects.emplace_back();
        }
    }
    if (firstError) std::rethrow_exception(firstError);
    outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return outcome;
}

}  // namespace medseg
