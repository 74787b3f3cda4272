// Trained three-dimensional networks on patches: several models and mirrored views at once.
#pragma once

#include <string>
#include <vector>

#include "medseg/engine/plan.h"
#include "medseg/infer/sliding_window.h"
#include "medseg/nn/model_file.h"

namespace medseg {

/// Splits each network in two: its features, what the last 1x1x1 convolution gets, and that convolution. The mean over
/// overlapping windows and mirrored views of a network's logits is the last convolution of the mean features (it is
/// linear), so windows are blended as features, fewer channels than 117 structures, and the last convolution runs once
/// a voxel. The models' probabilities are then averaged.
class PatchEnsemble {
  public:
    /// `models` must agree in labels, outputs, grid and window (DataError else). `mirror`: "x", "y", "z"; every
    /// combination is averaged, up to 8 runs a network. Throws UsageError when the precision cannot be had.
    PatchEnsemble(const std::vector<LoadedModel>& models, const torch::Device& device, Precision precision,
                  const std::vector<std::string>& mirror);

    /// Features of all models side by side: float (count, z, y, x, channels) on the CPU.
    torch::Tensor features(const torch::Tensor& images, const std::vector<VolumePart>& parts);

    /// Mean probability over the models: features (y, x, channels) -> (y, x, outputs), dense.
    torch::Tensor probabilities(const torch::Tensor& features) const;

    OutputKind output() const { return output_; }

  private:
    struct Member {
        UNet network{nullptr};
        torch::Tensor weight, bias;  ///< of the last convolution, float on the CPU: (features, outputs), (outputs)
    };
    torch::Tensor meanFeatures(Member& member, const torch::Tensor& input);

    std::vector<Member> members_;
    std::vector<std::string> coordinates_;
    torch::Device device_;
    Precision precision_;
    OutputKind output_;
    std::vector<std::vector<std::int64_t>> flips_;  ///< axes of (count, channels, z, y, x) to mirror
};

}  // namespace medseg
