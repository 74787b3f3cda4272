#include "medseg/infer/slice_ensemble.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/nn/vector_exp.h"

namespace medseg {
namespace {

void requireSameTask(const LoadedModel& a, const LoadedModel& b) {
    const auto sameName = [](const Label& x, const Label& y) { return x.name == y.name; };
    const auto &labelsA = a.labels.labels(), &labelsB = b.labels.labels();
    const auto &p = a.recipe.prepare, &q = b.recipe.prepare;
    const char* difference = nullptr;
    if (!std::equal(labelsA.begin(), labelsA.end(), labelsB.begin(), labelsB.end(), sameName))
        difference = "structures";
    if (a.recipe.model.output != b.recipe.model.output) difference = "model.output";
    if (p.window != q.window || p.imageSize != q.imageSize || p.axis != q.axis) difference = "preparation";
    if (a.recipe.model.coordinates != b.recipe.model.coordinates) difference = "model.coordinates";
    if (a.recipe.model.neighbours != b.recipe.model.neighbours) difference = "model.neighbours";
    if (difference != nullptr)
        throw DataError(b.file.string(), fmt::format("differs from {} in its {}: they cannot vote together",
                                                     a.file.string(), difference));
}

/// Logits to probabilities in place, `channels` values a pixel.
void toProbabilities(float* values, std::int64_t pixels, std::int64_t channels, OutputKind output) {
    parallelFor(0, pixels, 4096, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) {
            float* x = values + i * channels;
            if (output == OutputKind::Sigmoid) {
                for (std::int64_t c = 0; c < channels; ++c) x[c] = 1.0f / (1.0f + vectorExp(-x[c]));
                continue;
            }
            const float largest = *std::max_element(x, x + channels);
            float sum = 0;
            for (std::int64_t c = 0; c < channels; ++c) sum += x[c] = vectorExp(x[c] - largest);
            for (std::int64_t c = 0; c < channels; ++c) x[c] /= sum;
        }
    });
}

}  // namespace

SliceEnsemble::SliceEnsemble(const std::vector<LoadedModel>& models, const torch::Device& device, Precision precision,
                             std::int64_t batch, const std::vector<std::string>& mirror)
    : output_(outputKindOf(models.front().recipe.model)), flips_{{}} {
    for (const LoadedModel& model : models) {
        requireSameTask(models.front(), model);
        networks_.emplace_back(model, device, precision, batch);
    }
    for (const std::string& axis : mirror) {
        if (axis != "x" && axis != "y") throw UsageError(fmt::format("mirror axis \"{}\": use x or y", axis));
        const std::size_t before = flips_.size();
        for (std::size_t i = 0; i < before; ++i) {
            flips_.push_back(flips_[i]);
            flips_.back().push_back(axis == "x" ? 2 : 1);
        }
    }
}

torch::Tensor SliceEnsemble::probabilities(const torch::Tensor& images) {
    torch::Tensor sum;
    for (SliceNetwork& network : networks_)
        for (const auto& axes : flips_) {
            auto view = network.logits(axes.empty() ? images : images.flip(axes));
            toProbabilities(view.data_ptr<float>(), view.numel() / view.size(3), view.size(3), output_);
            if (!axes.empty()) view = view.flip(axes);
            sum = sum.defined() ? sum.add_(view) : view;
        }
    const auto views = static_cast<double>(networks_.size() * flips_.size());
    return views > 1 ? sum.div_(views) : sum;
}

}  // namespace medseg
