// Ranges of activations for 8-bit integers, found by running sample images in fp32.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "medseg/engine/plan.h"

namespace medseg {

/// First measure() every sample batch, then refine() every one again, then ask for ranges(): measure finds the largest
/// magnitudes, refine collects histograms, and each range is the clipping point with the least squared rounding and
/// clipping error (as TensorRT's and PyTorch's MSE observers choose it).
class RangeCalibration {
  public:
    RangeCalibration(const Graph& graph, std::int64_t batch, std::int64_t height, std::int64_t width);

    /// `images`: (batch, height, width, channels).
    void measure(const float* images);
    void refine(const float* images);
    ActivationRanges ranges() const;

  private:
    static constexpr std::size_t kBins = 2048;
    struct Statistics {
        float largest = 0;
        bool nonNegative = false;
        std::array<double, kBins> histogram{};  ///< of magnitudes, over [0, largest]
    };
    static float leastErrorRange(const Statistics& statistics);

    Plan plan_;
    std::vector<float> logits_;
    std::map<std::string, Statistics> statistics_;
};

}  // namespace medseg
