#include "medseg/infer/explanation.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/progress.h"
#include "medseg/imaging/resize2d.h"
#include "medseg/infer/model_agreement.h"
#include "medseg/infer/slice_batch.h"
#include "medseg/infer/slice_network.h"
#include "medseg/infer/slice_segmenter.h"

namespace medseg {
namespace {

struct Target {
    std::int64_t slice;       ///< canonical
    std::int64_t voxels = 0;  ///< of the structure on it
};

/// Voxels of `id` on canonical slice `k`.
std::int64_t countOn(const LabelMap& labels, const SlicePlan& plan, std::int64_t k, int id) {
    std::int64_t count = 0;
    labels.visit([&](const auto& voxels) {
        for (std::int64_t row = 0; row < plan.height; ++row)
            for (std::int64_t column = 0; column < plan.width; ++column)
                count += voxels.data()[plan.voxelIndex(k, row, column)] == id;
    });
    return count;
}

/// The array index of a canonical slice along the axis that crosses it.
std::int64_t arraySlice(const SlicePlan& plan, std::int64_t k) {
    return plan.sliceStride > 0 ? k : plan.count - 1 - k;
}

Target chooseTarget(const LabelMap& labels, const SlicePlan& plan, const Label& label,
                    const std::optional<std::int64_t>& wanted) {
    if (wanted && (*wanted < 0 || *wanted >= plan.count))
        throw UsageError(fmt::format("slice {} does not exist: choose 0 to {}", *wanted, plan.count - 1));
    Target best{0, 0};
    for (std::int64_t k = 0; k < plan.count; ++k) {
        if (wanted && arraySlice(plan, k) != *wanted) continue;
        const std::int64_t voxels = countOn(labels, plan, k, label.id);
        if (voxels > best.voxels) best = {k, voxels};
    }
    if (best.voxels == 0)
        throw UsageError(fmt::format("the model finds no {} {}: nothing to explain", label.name,
                                     wanted ? fmt::format("on slice {}", *wanted) : "in this image"));
    return best;
}

/// Pixels of the network's grid (height, width) predicted as `channel`.
torch::Tensor predictedPixels(const torch::Tensor& logits, std::int64_t channel, OutputKind output) {
    if (output == OutputKind::Softmax) return std::get<1>(logits[0].max(0)).eq(channel);
    return logits[0][channel].ge(0);
}

torch::Tensor probabilityOf(const torch::Tensor& logits, std::int64_t channel, OutputKind output) {
    const auto all = output == OutputKind::Softmax ? torch::softmax(logits, 1) : torch::sigmoid(logits);
    return all.select(1, channel);
}

/// image: (1, channels, height, width). Returns the heat at the bottleneck's resolution, not negative.
torch::Tensor gradCam(UNet& network, const torch::Tensor& image, std::int64_t channel, OutputKind output) {
    torch::Tensor features;
    const auto logits = network->forwardWithBottleneck(image, features);
    const auto region = predictedPixels(logits.detach(), channel, output);
    if (!region.any().item<bool>()) return {};
    const auto score = logits[0][channel].masked_select(region).sum();
    const auto gradient = torch::autograd::grad({score}, {features}).front();
    return (gradient.mean({2, 3}, true) * features).sum(1)[0].relu().detach();
}

/// A square of two steps centred on step `index` of an axis, cut at the border.
struct Patch {
    std::int64_t low, length;

    static constexpr std::int64_t kSteps = 16;
    static Patch at(std::int64_t index, std::int64_t size) {
        const std::int64_t low = std::max<std::int64_t>(0, (2 * index - 1) * size / (2 * kSteps));
        return {low, std::min(size, (2 * index + 3) * size / (2 * kSteps)) - low};
    }
};

/// image: (1, height, width, channels), of which the first `imageChannels` are covered.
torch::Tensor occlusion(const LoadedModel& model, const torch::Tensor& image, std::int64_t imageChannels,
                        std::int64_t channel, OutputKind output) {
    constexpr std::int64_t kSteps = Patch::kSteps;
    const c10::InferenceMode inference;
    SliceNetwork network(model, torch::kCPU, Precision::Fp32, kSteps);
    const auto run = [&](const torch::Tensor& images) { return network.logits(images).permute({0, 3, 1, 2}); };
    const auto undisturbed = run(image);
    const auto region = predictedPixels(undisturbed, channel, output);
    if (!region.any().item<bool>()) return {};
    const auto within = [&](const torch::Tensor& logits) {
        return probabilityOf(logits, channel, output)[0].masked_select(region).mean().item<float>();
    };
    const float before = within(undisturbed);
    const std::int64_t height = image.size(1), width = image.size(2);
    const float filling = image.narrow(3, 0, imageChannels).mean().item<float>();
    auto heat = torch::zeros({height, width}), visits = torch::zeros({height, width});
    Progress progress("occluding", kSteps * kSteps, "patches");
    for (std::int64_t row = 0; row < kSteps; ++row) {
        throwIfInterrupted();
        const Patch y = Patch::at(row, height);
        auto covered = image.repeat({kSteps, 1, 1, 1});
        for (std::int64_t column = 0; column < kSteps; ++column) {
            const Patch x = Patch::at(column, width);
            covered[column]
                .narrow(2, 0, imageChannels)
                .narrow(0, y.low, y.length)
                .narrow(1, x.low, x.length)
                .fill_(filling);
        }
        const auto logits = run(covered);
        for (std::int64_t column = 0; column < kSteps; ++column) {
            const Patch x = Patch::at(column, width);
            heat.narrow(0, y.low, y.length)
                .narrow(1, x.low, x.length)
                .add_(before - within(logits.narrow(0, column, 1)));
            visits.narrow(0, y.low, y.length).narrow(1, x.low, x.length).add_(1);
            progress.advance();
        }
    }
    progress.finish();
    return (heat / visits).relu();
}

/// Writes the slice `k` of `target` from values of the network's grid.
void paste(const torch::Tensor& heat, const SlicePlan& plan, std::int64_t k, Volume<float>& target) {
    const auto dense = heat.contiguous();
    std::vector<float> plane(static_cast<std::size_t>(plan.height * plan.width));
    resizeBilinear(SliceView<const float>{dense.data_ptr<float>(), dense.size(1), dense.size(0), dense.size(1)},
                   SliceView<float>{plane.data(), plan.width, plan.height, plan.width});
    plan.scatter(plane.data(), k, target.data());
}

/// Only label `id` on slice `k`.
LabelMap onlyOn(const LabelMap& labels, const SlicePlan& plan, std::int64_t k, int id) {
    Volume<std::uint16_t> kept(labels.geometry(), 0);
    labels.visit([&](const auto& voxels) {
        for (std::int64_t row = 0; row < plan.height; ++row)
            for (std::int64_t column = 0; column < plan.width; ++column) {
                const std::int64_t i = plan.voxelIndex(k, row, column);
                if (voxels.data()[i] == id) kept.data()[i] = static_cast<std::uint16_t>(id);
            }
    });
    return LabelMap::fromAny(AnyVolume(std::move(kept)), labels.table(), "prediction");
}

}  // namespace

ExplainOutcome explainSlice(const ExplainRequest& request) {
    LoadedModel model = loadModel(request.model);
    requireSliceNetwork(model, "an explanation");
    const Label* label = model.labels.findName(request.structure);
    if (label == nullptr)
        throw UsageError(fmt::format("{}: the model has no structure \"{}\"", model.file.string(), request.structure));
    SliceSegmenter segmenter({model}, {});
    const SlicePlan plan = SlicePlan::of(request.image->geometry(), segmenter.axis());
    const LabelMap labels = segmenter.segment(*request.image, {}, {}, nullptr);
    const Target target = chooseTarget(labels, plan, *label, request.slice);

    const OutputKind output = outputKindOf(model.recipe.model);
    const std::int64_t channel = output == OutputKind::Softmax ? label->id : label->id - 1;
    const auto image = sliceBatch(*request.image, model.recipe, model.labels, target.slice, 1);
    model.network->eval();
    torch::Tensor heat = request.method == ExplainMethod::GradCam
                             ? gradCam(model.network, image.permute({0, 3, 1, 2}).contiguous(), channel, output)
                             : occlusion(model, image, 2 * model.recipe.model.neighbours + 1, channel, output);
    if (!heat.defined())
        throw UsageError(fmt::format("the model finds no {} at its own resolution on that slice", label->name));
    const float strongest = heat.max().item<float>();
    if (strongest > 0) heat = heat / strongest;

    ExplainOutcome outcome;
    outcome.heat = Volume<float>(request.image->geometry(), 0.0F);
    paste(heat, plan, target.slice, outcome.heat);
    outcome.prediction = onlyOn(labels, plan, target.slice, label->id);
    outcome.slice = arraySlice(plan, target.slice);
    outcome.axis = segmenter.axis();
    outcome.strongest = strongest;
    return outcome;
}

}  // namespace medseg
