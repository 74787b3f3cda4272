// A graph compiled for one input size: oneDNN primitives, weights in their layouts, activations in shared buffers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "medseg/engine/graph.h"

namespace medseg {

enum class Precision {
    Fp32,  ///< Winograd convolutions where they pay: logits differ from a direct sum by about 1e-5 of their range
    Bf16,  ///< activations and weights rounded to 8 bits of mantissa; fast on processors with AMX or AVX-512 BF16
    Int8   ///< activations and weights as 8-bit integers with the scales of a calibration
};
/// "fp32", "bf16" or "int8". Throws UsageError.
Precision precisionFromName(const std::string& name);

/// Largest magnitude that int8 represents, by activation name.
using ActivationRanges = std::map<std::string, float>;

class Plan {
  public:
    /// `ranges` is needed for Int8 only. Throws DataError when it lacks an activation of the graph, UsageError when
    /// height or width are not divisible by graph.divisor() or the processor cannot run the precision.
    Plan(const Graph& graph, Precision precision, std::int64_t batch, std::int64_t height, std::int64_t width,
         const ActivationRanges& ranges = {});
    ~Plan();
    Plan(Plan&&) noexcept;
    Plan& operator=(Plan&&) noexcept;

    /// Called after each step of an fp32 plan with the values it wrote, in no particular order of channels and pixels.
    using Observer = std::function<void(const GraphValue& value, std::span<const float> values)>;
    /// `images`: (batch, height, width, in channels); `logits`: (batch, height, width, out channels), both dense, last
    /// axis fastest. Not for two threads at once.
    void run(const float* images, float* logits, const Observer& observer = {});

    /// Bytes of activations and scratch.
    std::int64_t activationBytes() const;

  private:
    class Implementation;
    std::unique_ptr<Implementation> implementation_;
};

}  // namespace medseg
