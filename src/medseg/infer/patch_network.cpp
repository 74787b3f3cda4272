#include "medseg/infer/patch_network.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/infer/model_agreement.h"
#include "medseg/infer/probabilities.h"

namespace medseg {

PatchEnsemble::PatchEnsemble(const std::vector<LoadedModel>& models, const torch::Device& device, Precision precision,
                             const std::vector<std::string>& mirror)
    : coordinates_(models.front().recipe.model.coordinates),
      device_(device),
      precision_(precision),
      output_(outputKindOf(models.front().recipe.model)),
      flips_{{}} {
    if (precision == Precision::Int8)
        throw UsageError(fmt::format("{}: int8 needs a plain two-dimensional U-Net with batch norm: use fp32",
                                     models.front().file.string()));
    if (precision == Precision::Bf16 && device.is_cpu())
        throw UsageError("bf16 needs a GPU for three-dimensional networks: use fp32");
    for (const LoadedModel& model : models) {
        requireSameTask(models.front(), model);
        Member member{.network = model.network, .weight = {}, .bias = {}};
        // Copies: the network may move to another device and type.
        member.weight = model.network->finalConv->weight.detach().flatten(1).t().to(torch::kFloat).clone().contiguous();
        member.bias = model.network->finalConv->bias.detach().to(torch::kFloat).clone();
        member.network->to(device_);
        if (precision_ == Precision::Bf16) member.network->to(torch::kBFloat16);
        members_.push_back(std::move(member));
    }
    for (const std::string& axis : mirror) {
        if (axis != "x" && axis != "y" && axis != "z")
            throw UsageError(fmt::format("mirror axis \"{}\": use x, y or z", axis));
        const std::size_t before = flips_.size();
        for (std::size_t i = 0; i < before; ++i) {
            flips_.push_back(flips_[i]);
            flips_.back().push_back(axis == "x" ? 4 : axis == "y" ? 3 : 2);
        }
    }
}

torch::Tensor PatchEnsemble::meanFeatures(Member& member, const torch::Tensor& input) {
    torch::Tensor sum;
    for (const auto& axes : flips_) {
        auto view = member.network->features(axes.empty() ? input : input.flip(axes));
        if (!axes.empty()) view = view.flip(axes);
        view = view.to(torch::kCPU, torch::kFloat);
        sum = sum.defined() ? sum.add_(view) : view;
    }
    return flips_.size() > 1 ? sum.div_(static_cast<double>(flips_.size())) : sum;
}

torch::Tensor PatchEnsemble::features(const torch::Tensor& images, const std::vector<VolumePart>& parts) {
    const auto type = precision_ == Precision::Bf16 ? torch::kBFloat16 : torch::kFloat;
    const auto input = appendVolumeCoordinates(images, coordinates_, parts).to(device_, type);
    std::vector<torch::Tensor> all;
    for (Member& member : members_) all.push_back(meanFeatures(member, input).permute({0, 2, 3, 4, 1}));
    return all.size() == 1 ? all.front() : torch::cat(all, 4);
}

torch::Tensor PatchEnsemble::probabilities(const torch::Tensor& features) const {
    const std::int64_t pixels = features.size(0) * features.size(1);
    const auto rows = features.view({pixels, features.size(2)});
    torch::Tensor sum;
    std::int64_t first = 0;
    for (const Member& member : members_) {
        const std::int64_t channels = member.weight.size(0), outputs = member.weight.size(1);
        auto values = torch::addmm(member.bias, rows.narrow(1, first, channels), member.weight);
        toProbabilities(values.data_ptr<float>(), pixels, outputs, output_);
        sum = sum.defined() ? sum.add_(values) : values;
        first += channels;
    }
    if (members_.size() > 1) sum.div_(static_cast<double>(members_.size()));
    return sum.view({features.size(0), features.size(1), -1});
}

}  // namespace medseg
