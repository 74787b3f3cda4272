// From probabilities on the network's grid to canonical slices of the input: labels, uncertainty, probabilities.
#pragma once

#include <cstdint>

#include "medseg/dataset/slice_plan.h"
#include "medseg/infer/label_restoration.h"
#include "medseg/nn/network_module.h"

namespace medseg {

/// What a segmenter gives back, filled slice by slice.
struct SegmentationOutputs {
    Volume<std::uint16_t>* labels = nullptr;
    Volume<float>* uncertainty = nullptr;            ///< may be null
    const ProbabilitySink* probabilities = nullptr;  ///< may be null or empty
};

/// Restores slices across `plan`'s axis. Different slices may be restored at once unless there is a probability sink,
/// which gets its slices in the order of the calls.
class SliceRestoration {
  public:
    SliceRestoration(const SlicePlan& plan, OutputKind output, const LabelRestorer& restorer,
                     const SegmentationOutputs& outputs)
        : plan_(plan), output_(output), restorer_(restorer), outputs_(outputs) {}

    bool ordered() const { return outputs_.probabilities != nullptr && *outputs_.probabilities; }

    /// `probability`: height x width x channels, channels fastest, 0..1, over the same field of view as the slice.
    void restore(const float* probability, std::int64_t height, std::int64_t width, std::int64_t channels,
                 std::int64_t slice) const;

  private:
    void restoreUncertainty(const float* probability, std::int64_t height, std::int64_t width, std::int64_t channels,
                            std::int64_t slice) const;

    SlicePlan plan_;
    OutputKind output_;
    LabelRestorer restorer_;
    SegmentationOutputs outputs_;
};

}  // namespace medseg
