// From the network's grid back to the slice's.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "medseg/nn/segmentation_loss.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// Turns the probabilities of one slice into labels of the slice's own size: probabilities are interpolated (bilinear,
/// half-pixel centres), then each pixel takes its most probable structure: with sigmoid outputs of those that reach
/// their threshold, with softmax outputs if background is not more probable. Structures that cannot win anywhere on the
/// slice are skipped.
class LabelRestorer {
  public:
    /// `thresholds`: one a channel with sigmoid outputs, else unused.
    LabelRestorer(OutputKind output, std::vector<double> thresholds)
        : output_(output), thresholds_(std::move(thresholds)) {}

    /// One structure's interpolated probabilities, x fastest.
    using PlaneSink = std::function<void(int structure, const float* values)>;

    /// `probability`: height x width x channels, channels fastest, 0..1. Writes ids 1..N (0 = background) to `labels`.
    /// `planes`, if given, gets every structure whose probability reaches half the threshold (softmax: a quarter)
    /// somewhere.
    void restore(const float* probability, std::int64_t height, std::int64_t width, std::int64_t channels,
                 SliceView<std::uint16_t> labels, const PlaneSink& planes = {}) const;

  private:
    OutputKind output_;
    std::vector<double> thresholds_;
};

}  // namespace medseg
