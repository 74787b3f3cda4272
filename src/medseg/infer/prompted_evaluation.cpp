#include "medseg/infer/prompted_evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/progress.h"
#include "medseg/infer/prompted_prediction.h"
#include "medseg/io/npy.h"
#include "medseg/metrics/label_overlap.h"
#include "medseg/report/overlay.h"

namespace medseg {
namespace {

constexpr std::size_t kShownCases = 8;
constexpr double kPanelSize = 250;

struct NpzCase {
    Volume<std::uint8_t> images;
    Volume<std::uint8_t> labels;
};

Volume<std::uint8_t> byteVolume(const NpzFile& file, const std::string& name, const std::string& source) {
    const NpyArray array = file.read(name);
    if (array.type != NpyType::U8 || array.shape.size() != 3 || array.elementCount() == 0)
        throw DataError(source, fmt::format("{} is not uint8 of shape (slices, rows, columns)", name));
    Volume<std::uint8_t> volume(Geometry::axisAligned({array.shape[2], array.shape[1], array.shape[0]}, {1, 1, 1}));
    std::copy(array.bytes.begin(), array.bytes.end(), volume.data());
    return volume;
}

NpzCase readCase(const fs::path& path) {
    const NpzFile file(path);
    for (const char* name : {"imgs", "gts"})
        if (!file.contains(name))
            throw DataError(path.string(),
                            fmt::format("holds no {}: not a case of `medseg prepare --form medsam`", name));
    NpzCase item{byteVolume(file, "imgs", path.string()), byteVolume(file, "gts", path.string())};
    if (item.images.size() != item.labels.size()) throw DataError(path.string(), "imgs and gts differ in size");
    return item;
}

PngPixels pictureOf(const Volume<std::uint8_t>& images, std::int64_t z) {
    const auto slice = images.slice(z);
    PngPixels picture{slice.width, slice.height, 1, {}};
    picture.bytes.assign(slice.data, slice.data + slice.width * slice.height);
    return picture;
}

bool isMeasured(const std::vector<std::int64_t>& slices, std::int64_t slice) {
    return slices.empty() || std::find(slices.begin(), slices.end(), slice) != slices.end();
}

/// What one case contributes.
struct CaseMeasurement {
    LabelOverlap network;
    LabelOverlap boxes;  ///< of the filled boxes
};

CaseMeasurement measure(const NpzCase& item, const LabelMap& prediction, const std::vector<Prompt>& prompts) {
    CaseMeasurement result;
    std::vector<bool> measured(static_cast<std::size_t>(item.labels.nz()), false);
    for (const Prompt& prompt : prompts) {
        measured[static_cast<std::size_t>(prompt.slice)] = true;
        const auto& box = *prompt.box;
        OverlapCounts filled;
        filled.prediction =
            (std::lround(box[2]) - std::lround(box[0]) + 1) * (std::lround(box[3]) - std::lround(box[1]) + 1);
        const auto slice = item.labels.slice(prompt.slice);
        for (std::int64_t i = 0; i < slice.width * slice.height; ++i)
            filled.reference += slice.data[i] == prompt.label ? 1 : 0;
        filled.intersection = filled.reference;
        result.boxes.add(prompt.label, filled);
    }
    prediction.visit([&](const auto& voxels) {
        for (std::int64_t z = 0; z < voxels.nz(); ++z) {
            if (!measured[static_cast<std::size_t>(z)]) continue;
            const auto found = voxels.slice(z);
            const auto wanted = item.labels.slice(z);
            std::map<int, OverlapCounts> counts;
            for (std::int64_t i = 0; i < wanted.width * wanted.height; ++i) {
                const int reference = wanted.data[i], predicted = found.data[i];
                if (reference != 0) ++counts[reference].reference;
                if (predicted != 0) ++counts[predicted].prediction;
                if (reference != 0 && reference == predicted) ++counts[reference].intersection;
            }
            for (const auto& [label, count] : counts) result.network.add(label, count);
        }
    });
    return result;
}

/// The slice with most labels, seen as in the file: row 0 at the top.
OverlayRow comparison(const std::string& name, const NpzCase& item, const LabelMap& prediction, std::int64_t slice) {
    const Geometry geometry = Geometry::axisAligned({item.images.nx(), item.images.ny(), 1}, {1, 1, 1});
    Volume<float> image(geometry);
    Volume<std::uint8_t> reference(geometry), predicted(geometry);
    for (std::int64_t y = 0; y < image.ny(); ++y)
        for (std::int64_t x = 0; x < image.nx(); ++x) {
            const std::int64_t row = image.ny() - 1 - y;  // rows of a RAS volume go up
            image(x, row, 0) = item.images(x, y, slice);
            reference(x, row, 0) = item.labels(x, y, slice);
            predicted(x, row, 0) = static_cast<std::uint8_t>(prediction.at(x, y, slice));
        }
    const LabelMap referenceMap(std::move(reference)), predictionMap(std::move(predicted));
    OverlayCase overlay;
    overlay.name = fmt::format("{}, slice {}", name, slice);
    overlay.image = &image;
    overlay.isOriented = overlay.isSized = false;
    overlay.reference = &referenceMap;
    overlay.prediction = &predictionMap;
    OverlayOptions options;
    options.slice = 0;
    options.window = Window::fromRange(0, 255);
    options.panelSize = kPanelSize;
    return renderOverlayRow(overlay, options);
}

std::int64_t richestSlice(const std::vector<Prompt>& prompts) {
    std::map<std::int64_t, int> count;
    for (const Prompt& prompt : prompts) ++count[prompt.slice];
    std::int64_t best = 0;
    int most = 0;
    for (const auto& [slice, boxes] : count)
        if (boxes > most) most = boxes, best = slice;
    return best;
}

nlohmann::ordered_json toJson(const PromptedCaseScore& score) {
    return {{"case", score.name},       {"dsc", score.dice},      {"miou", score.iou},       {"fps", score.fps},
            {"box_dsc", score.boxDice}, {"slices", score.slices}, {"prompts", score.prompts}};
}

/// The columns of the MedSAM result table, percent with one decimal.
std::string resultTable(const PromptedEvaluation& result) {
    std::string text = "| NAME | DSC | MIOU | FPS | Epochs | AMP_Type |\n|:---|:---:|:---:|:---:|:---:|:---:|\n";
    const auto row = [&](const PromptedCaseScore& score, const std::string& epochs, const std::string& precision) {
        text += fmt::format("| {} | {:.1f} | {:.1f} | {:.2f} | {} | {} |\n", score.name, 100 * score.dice,
                            100 * score.iou, score.fps, epochs, precision);
    };
    for (const PromptedCaseScore& score : result.cases) row(score, "", "");
    row(result.overall, result.epochs > 0 ? std::to_string(result.epochs) : "-", result.precision);
    return text;
}

void writeTables(const PromptedEvaluation& result, const fs::path& folder) {
    createDirectories(folder);
    std::string csv = "case,dsc,miou,fps,box_dsc,slices,prompts\n";
    auto cases = nlohmann::ordered_json::array();
    for (const PromptedCaseScore& score : result.cases) {
        csv += fmt::format("{},{:.6f},{:.6f},{:.4f},{:.6f},{},{}\n", score.name, score.dice, score.iou, score.fps,
                           score.boxDice, score.slices, score.prompts);
        cases.push_back(toJson(score));
    }
    writeTextFile(folder / "per_case.csv", csv);
    writeTextFile(folder / "result.md", resultTable(result));
    writeTextFile(folder / "summary.json",
                  nlohmann::ordered_json{{"overall", toJson(result.overall)}, {"cases", cases}}.dump(2) + "\n");
}

PromptedCaseScore overallOf(const std::vector<PromptedCaseScore>& cases, const std::string& name, double seconds) {
    PromptedCaseScore overall;
    overall.name = name;
    const auto count = static_cast<double>(cases.size());
    for (const PromptedCaseScore& score : cases) {
        overall.dice += score.dice / count;
        overall.iou += score.iou / count;
        overall.boxDice += score.boxDice / count;
        overall.slices += score.slices;
        overall.prompts += score.prompts;
    }
    overall.fps = seconds > 0 ? static_cast<double>(overall.slices) / seconds : 0;
    return overall;
}

}  // namespace

PromptedEvaluation evaluatePromptedCases(PromptedModel& model, const PromptedEvaluationRequest& request) {
    PromptedEvaluation result;
    std::vector<OverlayRow> pictures;
    double total = 0;
    Progress progress("evaluation", static_cast<std::int64_t>(request.cases.size()), "cases");
    for (const fs::path& path : request.cases) {
        const std::string name = path.stem().string();
        const auto restricted = request.slices.find(name);
        if (!request.slices.empty() && restricted == request.slices.end()) continue;
        const NpzCase item = readCase(path);
        std::vector<Prompt> prompts;
        for (Prompt& prompt : boxesOfLabels(LabelMap(item.labels.clone()), request.margin))
            if (request.slices.empty() || isMeasured(restricted->second, prompt.slice))
                prompts.push_back(std::move(prompt));
        const auto start = std::chrono::steady_clock::now();
        const PromptedSegmentation segmentation = segmentPrompted(
            model, item.images.geometry(), [&](std::int64_t z) { return pictureOf(item.images, z); }, prompts,
            request.batchSize, false);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        total += seconds;
        const CaseMeasurement measured = measure(item, segmentation.labels, prompts);
        result.cases.push_back({name, measured.network.meanDice(), measured.network.meanIou(),
                                seconds > 0 ? static_cast<double>(segmentation.slices) / seconds : 0,
                                measured.boxes.meanDice(), segmentation.slices,
                                static_cast<std::int64_t>(prompts.size())});
        if (pictures.size() < kShownCases)
            pictures.push_back(comparison(name, item, segmentation.labels, richestSlice(prompts)));
        progress.advance();
    }
    progress.finish();
    if (result.cases.empty()) throw DataError("no case to measure on: give npz files with imgs and gts");
    const TrainingNote note = model.trainingNote();
    result.epochs = note.epochs;
    result.precision = note.precision;
    result.overall =
        overallOf(result.cases, request.name.empty() ? request.model.stem().string() : request.name, total);
    if (!request.output.empty()) {
        writeTables(result, request.output);
        composeOverlays(pictures, "Image, reference, prediction").writePng(request.output / "comparison.png");
    }
    return result;
}

}  // namespace medseg
