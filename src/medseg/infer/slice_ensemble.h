// Several views of the same slices, averaged: networks of other folds or seeds, and mirrored input.
#pragma once

#include <string>
#include <vector>

#include "medseg/infer/slice_network.h"

namespace medseg {

class SliceEnsemble {
  public:
    /// `models` must agree in labels, outputs and preparation (DataError with both files else). `mirror`: axes of the
    /// slice, "x" (columns) and "y" (rows); every combination is averaged, 2 or 4 runs a network.
    SliceEnsemble(const std::vector<LoadedModel>& models, const torch::Device& device, Precision precision,
                  std::int64_t batch, const std::vector<std::string>& mirror);

    /// images: (count, height, width, channels); returns mean probabilities (count, height, width, outputs), dense.
    torch::Tensor probabilities(const torch::Tensor& images);

  private:
    std::vector<SliceNetwork> networks_;
    OutputKind output_;
    std::vector<std::vector<std::int64_t>> flips_;  ///< axes of (count, height, width, channels) to mirror
};

}  // namespace medseg
