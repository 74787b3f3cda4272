#include "medseg/infer/slice_ensemble.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/infer/model_agreement.h"
#include "medseg/infer/probabilities.h"

namespace medseg {
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
