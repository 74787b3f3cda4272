#include "medseg/pipeline/reconstruction_stages.h"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/dataset/sam3d_dataset.h"
#include "medseg/dataset/sam3d_frame.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/io/image_file.h"
#include "medseg/io/mesh_file.h"
#include "medseg/io/npy.h"
#include "medseg/metrics/reconstruction_scores.h"
#include "medseg/nn/network_module.h"
#include "medseg/pipeline/preparation_stage.h"
#include "medseg/report/overlay.h"
#include "medseg/report/scene_html.h"

namespace medseg {
namespace {

constexpr std::int64_t kGrid = 64;

/// Which slices every object was reconstructed from: case -> label -> [{axis, slice}].
using UsedSlices = nlohmann::ordered_json;

UsedSlices readUsedSlices(const fs::path& predictions) {
    const fs::path file = predictions / "slices.json";
    try {
        return UsedSlices::parse(readTextFile(file));
    } catch (const nlohmann::json::exception& error) {
        throw DataError(file.string(), fmt::format("damaged: {}", error.what()));
    }
}

std::size_t caseIndex(const Sam3dDataset& dataset, const std::string& id) {
    for (std::size_t i = 0; i < dataset.cases().size(); ++i)
        if (dataset.cases()[i] == id) return i;
    throw DataError(dataset.folder().string(), fmt::format("has no case {} any more: prepare and predict again", id));
}

Sam3dDataset openDataset(const Recipe& recipe, const RunFolders& folders) {
    Sam3dDatasetSettings settings;
    settings.classes = recipe.sam3d.classes;
    settings.axes = recipe.sam3d.axes;
    settings.minPixels = recipe.sam3d.minPixels;
    return Sam3dDataset(folders.cache, settings);
}

Volume<std::uint8_t> referenceMask(const Sam3dDataset& dataset, std::size_t index, int label,
                                   const Geometry& geometry) {
    const Volume<float> distance = dataset.readDistance(index, label);
    const Index3& size = dataset.sizeOf(index);
    if (geometry.size() != size)
        throw DataError(dataset.cases()[index], "prediction and prepared case differ in size: predict again");
    Volume<std::uint8_t> mask(geometry);
    for (std::int64_t i = 0; i < size[0]; ++i)
        for (std::int64_t j = 0; j < size[1]; ++j)
            for (std::int64_t k = 0; k < size[2]; ++k)
                mask(i, j, k) = distance.data()[(i * size[1] + j) * size[2] + k] < 0 ? 1 : 0;
    return mask;
}

/// The mask on one slice, on every slice across its axis.
Volume<std::uint8_t> extruded(const Volume<std::uint8_t>& mask, int axis, std::int64_t slice) {
    Volume<std::uint8_t> result(mask.geometry());
    for (std::int64_t z = 0; z < mask.nz(); ++z)
        for (std::int64_t y = 0; y < mask.ny(); ++y)
            for (std::int64_t x = 0; x < mask.nx(); ++x)
                result(x, y, z) = mask(axis == 0 ? slice : x, axis == 1 ? slice : y, axis == 2 ? slice : z);
    return result;
}

/// The training cases' mean occupancy of every label, where it was written.
class MeanShapes {
  public:
    explicit MeanShapes(const fs::path& file) {
        if (!fs::exists(file)) return;
        const NpzFile archive(file);
        for (const std::string& name : archive.names()) {
            const NpyArray array = archive.read(name);
            if (array.shape != std::vector<std::int64_t>{kGrid, kGrid, kGrid})
                throw DataError(file.string(), "mean shapes of an unexpected size");
            const float* values = array.as<float>();
            shapes_[name].assign(values, values + array.elementCount());
        }
    }
    bool empty() const { return shapes_.empty(); }
    Volume<std::uint8_t> at(int label, const Geometry& geometry) const {
        const auto found = shapes_.find(fmt::format("label_{}", label));
        Volume<std::uint8_t> mask(geometry, std::uint8_t{0});
        if (found == shapes_.end()) return mask;
        const OccupancyFrame frame = cropFrame(geometry.size(), kGrid);
        const Volume<float> mean = placeFrame(found->second, frame, geometry.affine(), geometry);
        for (std::int64_t i = 0; i < mask.voxelCount(); ++i) mask.data()[i] = mean.data()[i] >= 0.5F ? 1 : 0;
        return mask;
    }

  private:
    std::map<std::string, std::vector<float>> shapes_;
};

/// Sampling as this recipe says, whatever the model was validated with.
std::vector<std::string> samplingOverrides(const SamplingRecipeSettings& settings) {
    return {
        fmt::format("sampling.steps={}", settings.steps),
        fmt::format("sampling.rescale={}", settings.rescale),
        fmt::format("sampling.guidance={}", settings.guidance),
        fmt::format("sampling.guidance_interval=[{},{}]", settings.guidanceInterval[0], settings.guidanceInterval[1]),
        fmt::format("sampling.distilled={}", settings.distilled),
        fmt::format("sampling.slices_per_object={}", settings.slicesPerObject),
        fmt::format("sampling.samples={}", settings.samples),
        fmt::format("sampling.mesh={}", settings.mesh),
        fmt::format("sampling.latent_steps={}", settings.latentSteps),
        fmt::format("sampling.latent_guidance={}", settings.latentGuidance)};
}

nlohmann::ordered_json definitionsJson() {
    nlohmann::ordered_json json;
    for (const ScoreDefinition& definition : scoreDefinitions()) json[definition.name] = definition.definition;
    return json;
}

/// Image of a prepared case from its slices across the first axis that has them all.
Volume<float> imageOf(const Sam3dDataset& dataset, std::size_t index, const Geometry& geometry) {
    Volume<float> image(geometry, 0.0F);
    std::int64_t last = -1;
    int axis = -1;
    for (const Sam3dObject& object : dataset.objectsOf(index)) {
        if (axis >= 0 && object.axis != axis) continue;
        if (object.slice == last) continue;
        axis = object.axis;
        last = object.slice;
        const Sam3dSlice slice = dataset.readSlice(object).slice;
        for (std::int64_t y = 0; y < slice.height; ++y)
            for (std::int64_t x = 0; x < slice.width; ++x) {
                const float value = slice.image[static_cast<std::size_t>(y * slice.width + x)];
                if (axis == 0) image(slice.index, y, x) = value;
                if (axis == 1) image(y, slice.index, x) = value;
                if (axis == 2) image(y, x, slice.index) = value;
            }
    }
    return image;
}

LabelMap referenceLabels(const Sam3dDataset& dataset, std::size_t index, const LabelMap& prediction) {
    Volume<std::uint8_t> labels(prediction.geometry(), std::uint8_t{0});
    for (const Label& label : prediction.table().labels()) {
        const Volume<std::uint8_t> mask = referenceMask(dataset, index, label.id, labels.geometry());
        for (std::int64_t i = 0; i < labels.voxelCount(); ++i)
            if (mask.data()[i] != 0) labels.data()[i] = static_cast<std::uint8_t>(label.id);
    }
    return {std::move(labels), prediction.table()};
}

/// The surfaces that a mesh decoder made of a case's objects; empty where there is none.
std::vector<LabelMesh> decodedSurfaces(const fs::path& objects, const LabelTable& table) {
    std::vector<LabelMesh> meshes;
    for (const Label& label : table.labels()) {
        const fs::path file = objects / fmt::format("label_{}.obj", label.id);
        if (fs::exists(file)) meshes.push_back({label, readMesh(file)});
    }
    return meshes;
}

}  // namespace

bool ReconstructionStages::has(Stage stage) const {
    return !usesPreparedSlices(recipe_) || (stage != Stage::Generate && stage != Stage::Prepare);
}

std::vector<std::string> ReconstructionStages::sections(Stage stage) const {
    if (stage == Stage::Train) return {"data", "model", "train", "sam3d", "lora", "loss"};
    if (stage == Stage::Predict) return {"predict", "sampling"};
    return FamilyStages::sections(stage);
}

fs::path ReconstructionStages::proof(Stage stage) const {
    if (stage == Stage::Train)
        return folders_.model / (recipe_.sam3d.stage == "structure" ? "latest.pt" : "latent/latest.pt");
    if (stage == Stage::Evaluate) return folders_.evaluation / "metrics.json";
    return FamilyStages::proof(stage);
}

void ReconstructionStages::prepare() const {
    trainingRecipe();
    prepareCases(recipe_, folders_.cache);
}

Recipe ReconstructionStages::trainingRecipe() const {
    if (recipe_.prepare.form != "sam3d" && !usesPreparedSlices(recipe_))
        throw UsageError("model.kind sam3d trains on prepare.form: sam3d");
    return recipe_;
}

void ReconstructionStages::predict() const {
    ReconstructCasesRequest request;
    request.overrides = samplingOverrides(recipe_.sampling);
    request.model = folders_.model;
    request.cases = folders_.cache;
    request.output = folders_.predictions;
    const ReconstructOutcome outcome = loadNetworkModule().reconstructCases(request);
    logInfo("{} objects reconstructed from {} slices in {:.1f} s: {}", outcome.objects, outcome.slices, outcome.seconds,
            folders_.predictions.string());
}

std::optional<EvaluationSummary> ReconstructionStages::evaluate() const {
    const Sam3dDataset dataset = openDataset(recipe_, folders_);
    const MeanShapes means(folders_.model / "mean_shapes.npz");
    std::vector<ScoredObject> network, extrusion, mean;
    const UsedSlices used = readUsedSlices(folders_.predictions);
    for (const auto& [id, labels] : used.items()) {
        const std::size_t index = caseIndex(dataset, id);
        for (const auto& [name, slices] : labels.items()) {
            const int label = std::stoi(name);
            const fs::path file = folders_.predictions / (id + "_objects") / fmt::format("label_{}.nii.gz", label);
            const LabelMap stored = readLabelMap(file);
            Volume<std::uint8_t> prediction(stored.geometry());
            stored.visit([&](const auto& voxels) {
                for (std::int64_t i = 0; i < prediction.voxelCount(); ++i)
                    prediction.data()[i] = voxels.data()[i] != 0 ? 1 : 0;
            });
            const Volume<std::uint8_t> reference = referenceMask(dataset, index, label, stored.geometry());
            network.push_back({id, label, scoreReconstruction(reference, prediction)});
            const auto& first = slices.at(0);
            extrusion.push_back({id, label,
                                 scoreReconstruction(reference, extruded(reference, first.at("axis").get<int>(),
                                                                         first.at("slice").get<std::int64_t>()))});
            if (!means.empty())
                mean.push_back({id, label, scoreReconstruction(reference, means.at(label, reference.geometry()))});
        }
    }
    nlohmann::ordered_json metrics = scoresToJson(network, true);
    metrics["definitions"] = definitionsJson();
    metrics["slices"] = used;
    metrics["baselines"]["extruded_slice"] = scoresToJson(extrusion, false);
    if (!mean.empty()) metrics["baselines"]["mean_training_shape"] = scoresToJson(mean, false);
    createDirectories(folders_.evaluation);
    writeTextFile(folders_.evaluation / "metrics.json", metrics.dump(2) + "\n");
    const auto dice = [](const nlohmann::ordered_json& scores) {
        const auto& value = scores.at("overall").at("dice").at("mean");
        return value.is_number() ? value.get<double>() : std::nan("");
    };
    logInfo("mean Dice {:.4f} over {} objects; extruded slice {:.4f}{}: {}", dice(metrics), network.size(),
            dice(metrics["baselines"]["extruded_slice"]),
            mean.empty() ? "" : fmt::format(", mean shape {:.4f}", dice(metrics["baselines"]["mean_training_shape"])),
            (folders_.evaluation / "metrics.json").string());
    return std::nullopt;
}

void ReconstructionStages::report() const {
    const Sam3dDataset dataset = openDataset(recipe_, folders_);
    const UsedSlices used = readUsedSlices(folders_.predictions);
    int drawn = 0;
    for (const auto& [id, labels] : used.items()) {
        if (drawn++ >= recipe_.report.overlays) break;
        const std::size_t index = caseIndex(dataset, id);
        const LabelMap prediction = readLabelMap(folders_.predictions / (id + ".nii.gz"));
        const LabelMap reference = referenceLabels(dataset, index, prediction);
        const Volume<float> image = imageOf(dataset, index, prediction.geometry());
        const fs::path folder = folders_.report / id;
        createDirectories(folder);
        OverlayCase overlay;
        overlay.name = id;
        overlay.image = &image;
        overlay.reference = &reference;
        overlay.prediction = &prediction;
        std::vector<OverlayRow> rows;
        for (const ViewPlane plane : {ViewPlane::Axial, ViewPlane::Coronal, ViewPlane::Sagittal}) {
            OverlayOptions options;
            options.plane = plane;
            renderOverlay(overlay, options).writePng(folder / fmt::format("overlay_{}.png", viewPlaneName(plane)));
            for (const int part : {1, 2, 3}) {
                options.slice = SliceView2D(image.geometry(), plane).slices() * part / 4;
                rows.push_back(renderOverlayRow(overlay, options));
            }
        }
        composeOverlays(rows, id).writePng(folder / "comparison.png");
        const auto surfaces = [&](const LabelMap& map, const char* name) {
            writeMeshes(folder / fmt::format("{}.obj", name), extractLabelSurfaces(map));
        };
        const std::vector<LabelMesh> decoded =
            decodedSurfaces(folders_.predictions / (id + "_objects"), prediction.table());
        if (decoded.empty())
            surfaces(prediction, "prediction");
        else
            writeMeshes(folder / "prediction.obj", decoded);
        surfaces(reference, "reference");
        if (recipe_.report.html) writeSceneHtml(folder / "scene.html", makeScene(&reference, &prediction));
        logInfo("{}", folder.string());
    }
}

}  // namespace medseg
