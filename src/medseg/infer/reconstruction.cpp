#include "medseg/infer/reconstruction.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/base/progress.h"
#include "medseg/base/random.h"
#include "medseg/dataset/sam3d_conditions.h"
#include "medseg/dataset/sam3d_volume.h"
#include "medseg/io/image_file.h"
#include "medseg/io/mesh_file.h"
#include "medseg/nn/lora/lora.h"

namespace medseg {
namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// FNV-1a: the same number on every machine.
std::uint64_t hashOf(const std::string& text) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return hash;
}

Volume<std::uint8_t> thresholded(const Volume<float>& probability) {
    Volume<std::uint8_t> mask(probability.geometry());
    for (std::int64_t i = 0; i < mask.voxelCount(); ++i) mask.data()[i] = probability.data()[i] >= 0.5F ? 1 : 0;
    return mask;
}

/// Label maps from probabilities that come one label at a time: the most probable label where it reaches one half.
class Competition {
  public:
    explicit Competition(const Geometry& geometry)
        : labels_(geometry, std::uint8_t{0}), best_(geometry, 0.0F), uncertainty_(geometry, 0.0F) {}

    /// `occupancy` decides about the label, `probability` about the uncertainty.
    void add(int label, const Volume<float>& occupancy, const Volume<float>& probability) {
        for (std::int64_t i = 0; i < probability.voxelCount(); ++i) {
            const float p = probability.data()[i], o = occupancy.data()[i];
            if (p > 0 && p < 1) {
                const float entropy = -(p * std::log2(p) + (1 - p) * std::log2(1 - p));
                uncertainty_.data()[i] = std::max(uncertainty_.data()[i], entropy);
            }
            if (o < 0.5F || o <= best_.data()[i]) continue;
            best_.data()[i] = o;
            labels_.data()[i] = static_cast<std::uint8_t>(label);
        }
    }
    LabelMap takeLabels(LabelTable table) { return {std::move(labels_), std::move(table)}; }
    Volume<float> takeUncertainty() { return std::move(uncertainty_); }

  private:
    Volume<std::uint8_t> labels_;
    Volume<float> best_;
    Volume<float> uncertainty_;
};

FlowSampling samplingOf(const SamplingRecipeSettings& settings) {
    if (settings.distilled) return FlowSampling::distilled();
    return {settings.steps, settings.rescale, settings.guidance, settings.guidanceInterval, false};
}

std::vector<int> presentLabels(const LabelMap& mask, std::size_t known) {
    std::vector<int> present;
    const std::vector<std::int64_t> counts = mask.countVoxels();
    for (std::size_t id = 1; id < counts.size() && id <= known; ++id)
        if (counts[id] > 0) present.push_back(static_cast<int>(id));
    return present;
}

/// The slices to reconstruct `label` from: the named ones, without those that do not show a label nobody asked for, or
/// the best ones.
std::vector<Sam3dObject> slicesFor(const ReconstructRequest& request, const LabelMap& mask, int label,
                                   const Recipe& recipe) {
    if (request.slices.empty())
        return chooseSlices(slicesShowing(mask, label, recipe.sam3d.axes, recipe.sam3d.minPixels),
                            static_cast<std::size_t>(recipe.sampling.slicesPerObject));
    std::vector<Sam3dObject> named;
    for (const ReconstructSlice& slice : request.slices) {
        const auto shown = slicesShowing(mask, label, {slice.axis}, 1);
        const bool shows = std::any_of(shown.begin(), shown.end(),
                                       [&](const Sam3dObject& object) { return object.slice == slice.index; });
        const bool inside = slice.index < mask.geometry().size()[static_cast<std::size_t>(slice.axis)];
        if (shows || !inside || !request.labels.empty()) named.push_back({0, label, slice.axis, slice.index, 0});
    }
    return named;
}

nlohmann::ordered_json toJson(const std::vector<Sam3dObject>& objects) {
    auto list = nlohmann::ordered_json::array();
    for (const Sam3dObject& object : objects) list.push_back({{"axis", object.axis}, {"slice", object.slice}});
    return list;
}

}  // namespace

Reconstructor::Reconstructor(const fs::path& model, const std::vector<std::string>& overrides)
    : model_(loadSam3d(model)) {
    if (!overrides.empty())
        model_.recipe = recipeFromYaml(recipeToYaml(model_.recipe), model_.file.string(), overrides);
    rules_ = ConditionRules::from(model_.recipe, model_.network->shape().condition.dino.inputSize);
    rules_.framePoints = usesFramePoints(model_.recipe);
    sampling_ = samplingOf(model_.recipe.sampling);
    if (model_.recipe.sampling.mesh) surfaces_ = SurfaceDecoder::find(model, model_.recipe);
}

std::vector<float> Reconstructor::frameProbability(const ConditionSlice& slice, int label,
                                                   const OccupancyFrame& frame) {
    torch::NoGradGuard noGradient;
    Sam3dNetwork& network = model_.network;
    const ConditionImages images = conditionImages(slice.slice, label, slice.affine, frame, rules_, slice.name);
    const auto condition = network->generator->prepareCondition(network->embedder->forward(stacked({images})), false);
    const auto none = network->generator->emptyCondition(1, false);
    const std::int64_t resolution = network->shape().flow.resolution;
    const std::int64_t tokens = resolution * resolution * resolution, channels = network->shape().vae.latentChannels;
    const int samples = model_.recipe.sampling.samples;
    const bool surface = model_.recipe.sam3d.target == "surface";
    std::vector<float> sum(static_cast<std::size_t>(frame.grid * frame.grid * frame.grid), 0.0F);
    for (int sample = 0; sample < samples; ++sample) {
        torch::manual_seed(
            Random(model_.recipe.seed, hashOf(fmt::format("{} {} {}", slice.name, label, sample))).next());
        const FlowState noise{{kShapeLatent, torch::randn({1, tokens, channels})}};
        const FlowState result = sampleFlow(network->generator, noise, condition, none, sampling_,
                                            [](int, const FlowState&) { throwIfInterrupted(); });
        const auto logits = network->decoder->forward(tokensToLatent(result.at(kShapeLatent)))[0][0];
        if (surface) {
            const std::vector<std::uint8_t> filled = filledSurface(gridVoxels(logits > 0), frame.grid);
            for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<float>(filled[i]);
        } else {
            const auto p = torch::sigmoid(logits).contiguous();
            const float* values = p.data_ptr<float>();
            for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
        }
    }
    for (float& value : sum) value /= static_cast<float>(samples);
    return sum;
}

ReconstructedObject Reconstructor::object(const std::vector<ConditionSlice>& slices, int label,
                                          const Geometry& target) {
    if (slices.empty()) throw DataError(fmt::format("no slice shows label {}", label));
    Volume<float> mean(target, 0.0F);
    std::vector<float> shared;  // mean in the first slice's frame
    int sharing = 0;
    std::optional<OccupancyFrame> first;
    for (const ConditionSlice& slice : slices) {
        const OccupancyFrame frame =
            frameFor(model_.recipe, slice.slice, label, slice.size, model_.network->shape().grid);
        const std::vector<float> values = frameProbability(slice, label, frame);
        const Volume<float> one = placeFrame(values, frame, slice.affine, target);
        const float share = 1.0F / static_cast<float>(slices.size());
        for (std::int64_t i = 0; i < mean.voxelCount(); ++i) mean.data()[i] += share * one.data()[i];
        if (!first) {
            first = frame;
            shared.assign(values.size(), 0.0F);
        }
        if (frame.centre != first->centre || frame.side != first->side) continue;
        for (std::size_t i = 0; i < shared.size(); ++i) shared[i] += values[i];
        ++sharing;
    }
    ReconstructedObject result;
    result.probability = std::move(mean);
    if (!hasSurfaces()) return result;
    std::vector<std::uint8_t> solid(shared.size());
    for (std::size_t i = 0; i < shared.size(); ++i) solid[i] = 2 * shared[i] >= static_cast<float>(sharing) ? 1 : 0;
    const ConditionSlice& slice = slices.front();
    std::optional<ConditionImages> condition;
    if (surfaces_->needsCondition()) {
        ConditionRules rules = rules_;
        rules.targetSize = surfaces_->conditionSize();
        condition = conditionImages(slice.slice, label, slice.affine, *first, rules, slice.name);
    }
    const std::uint64_t seed =
        Random(model_.recipe.seed, hashOf(fmt::format("{} {} latents", slice.name, label))).next();
    result.decoded = surfaces_->decode(solid, *first, slice.affine, condition ? &*condition : nullptr, seed);
    return result;
}

ReconstructOutcome reconstructFile(const ReconstructRequest& request) {
    const auto start = Clock::now();
    Reconstructor reconstructor(request.model, request.overrides);
    const Recipe& recipe = reconstructor.recipe();
    const Volume<float> image = readImage(request.image);
    const LabelMap mask = readLabelMap(request.mask);
    requireSameGeometry(image.geometry(), request.image.string(), mask.geometry(), request.mask.string());
    const double spacing = recipe.prepareSam3d.spacing;
    const Geometry grid = spacing > 0 ? isotropicGrid(image.geometry(), spacing) : image.geometry();
    std::vector<int> labels = request.labels;
    if (labels.empty()) labels = presentLabels(mask, reconstructor.labels().size());
    if (labels.empty())
        throw DataError(request.mask.string(), fmt::format("shows none of the labels 1..{} that the model knows",
                                                           reconstructor.labels().size()));
    if ((!request.surface.empty() || !request.splats.empty()) && !reconstructor.hasSurfaces())
        throw UsageError(
            fmt::format("{} has no mesh decoder: train it with sam3d.stage=latent, or take the surface of "
                        "the result with medseg mesh",
                        request.model.string()));
    ReconstructOutcome outcome;
    Competition competition(image.geometry());
    LabelTable table;
    std::vector<LabelMesh> meshes;
    std::vector<Splat> splats;
    for (const int label : labels) {
        const std::vector<Sam3dObject> chosen = slicesFor(request, mask, label, recipe);
        if (chosen.empty()) {
            const std::string problem =
                request.slices.empty()
                    ? fmt::format("no slice shows {} pixels of label {}", recipe.sam3d.minPixels, label)
                    : fmt::format("the given slices do not show label {}", label);
            if (!request.labels.empty()) throw DataError(request.mask.string(), problem);
            logWarning("{}: {}: left out", request.mask.string(), problem);
            continue;
        }
        std::vector<ConditionSlice> slices;
        for (const Sam3dObject& object : chosen)
            slices.push_back({sliceOnGrid(image, mask, object.axis, object.slice, grid), grid.affine(), grid.size(),
                              fmt::format("{}: label {} on slice {} across axis {}", request.mask.string(), label,
                                          object.slice, object.axis)});
        const ReconstructedObject object = reconstructor.object(slices, label, image.geometry());
        const Label entry{label, mask.table().nameOf(label), mask.table().colorOf(label)};
        if (object.decoded) {
            competition.add(label, object.decoded->occupancy(image.geometry()), object.probability);
            if (!request.surface.empty()) meshes.push_back({entry, object.decoded->worldMesh()});
            if (!request.splats.empty()) {
                const std::vector<Splat> own = reconstructor.surfaces().splats(*object.decoded);
                splats.insert(splats.end(), own.begin(), own.end());
            }
        } else {
            competition.add(label, object.probability, object.probability);
        }
        outcome.slices += static_cast<std::int64_t>(slices.size());
        table.add(entry);
    }
    if (table.empty()) throw DataError(request.mask.string(), "no label of it can be reconstructed from these slices");
    outcome.objects = static_cast<int>(table.size());
    writeLabelMap(request.output, competition.takeLabels(std::move(table)));
    outcome.files.push_back(request.output);
    if (!request.uncertainty.empty()) {
        writeImage(request.uncertainty, AnyVolume(competition.takeUncertainty()));
        outcome.files.push_back(request.uncertainty);
    }
    if (!request.surface.empty()) {
        writeMeshes(request.surface, meshes);
        outcome.files.push_back(request.surface);
    }
    if (!request.splats.empty()) {
        writeSplats(request.splats, splats);
        outcome.files.push_back(request.splats);
    }
    outcome.seconds = secondsSince(start);
    return outcome;
}

ReconstructOutcome reconstructCases(const ReconstructCasesRequest& request) {
    const auto start = Clock::now();
    Reconstructor reconstructor(request.model, request.overrides);
    const Recipe& recipe = reconstructor.recipe();
    ReconstructionData data = ReconstructionData::open(recipe, request.cases);
    const std::vector<std::string>& held = data.split.test.empty() ? data.split.validation : data.split.test;
    if (held.empty()) throw UsageError("no case is held out: set data.test_fraction or data.test_cases");
    createDirectories(request.output);
    ReconstructOutcome outcome;
    nlohmann::ordered_json used;
    Progress progress("reconstruct", static_cast<std::int64_t>(held.size()), "cases");
    for (std::size_t index = 0; index < data.dataset->cases().size(); ++index) {
        const std::string& id = data.dataset->cases()[index];
        if (std::find(held.begin(), held.end(), id) == held.end()) continue;
        std::unique_ptr<Competition> competition;
        LabelTable table;
        for (int label = 1; label <= data.classes(); ++label) {
            std::vector<Sam3dObject> own;
            for (const Sam3dObject& object : data.dataset->objectsOf(index))
                if (object.label == label) own.push_back(object);
            const auto chosen = chooseSlices(own, static_cast<std::size_t>(recipe.sampling.slicesPerObject));
            if (chosen.empty()) continue;
            std::vector<ConditionSlice> slices;
            for (const Sam3dObject& object : chosen) {
                auto loaded = data.dataset->readSlice(object);
                slices.push_back({std::move(loaded.slice), loaded.affine, data.dataset->sizeOf(index),
                                  data.dataset->describe(object)});
            }
            const Geometry target(data.dataset->sizeOf(index), slices.front().affine);
            if (!competition) competition = std::make_unique<Competition>(target);
            ReconstructedObject object = reconstructor.object(slices, label, target);
            const Label entry{label, fmt::format("label_{}", label), labelColor(label)};
            const fs::path file = request.output / (id + "_objects") / fmt::format("label_{}.nii.gz", label);
            createDirectories(file.parent_path());
            const fs::path surface = file.parent_path() / fmt::format("label_{}.obj", label);
            fs::remove(surface);  // of an earlier run, perhaps without a mesh decoder now
            Volume<float> occupancy;
            if (object.decoded) {
                occupancy = object.decoded->occupancy(target);
                const LabelMesh mesh{entry, object.decoded->worldMesh()};
                writeMeshes(surface, {&mesh, 1});
            }
            const Volume<float>& chosenBy = object.decoded ? occupancy : object.probability;
            competition->add(label, chosenBy, object.probability);
            writeImage(file, AnyVolume(thresholded(chosenBy)));
            used[id][std::to_string(label)] = toJson(chosen);
            table.add(entry);
            ++outcome.objects;
            outcome.slices += static_cast<std::int64_t>(slices.size());
        }
        if (competition) {
            outcome.files.push_back(request.output / (id + ".nii.gz"));
            writeLabelMap(outcome.files.back(), competition->takeLabels(std::move(table)));
            writeImage(request.output / (id + "_uncertainty.nii.gz"), AnyVolume(competition->takeUncertainty()));
        }
        progress.advance();
    }
    progress.finish();
    writeTextFile(request.output / "slices.json", used.dump(1) + "\n");
    outcome.seconds = secondsSince(start);
    return outcome;
}

}  // namespace medseg
