// Segments a volume with a 3D network: resampled, window by window, back to the input's grid.
#pragma once

#include <memory>

#include "medseg/dataset/volume_format.h"
#include "medseg/infer/patch_network.h"
#include "medseg/infer/slice_restoration.h"
#include "medseg/nn/network_module.h"

namespace medseg {

/// The image goes to networkGrid(), through SlidingWindow, and each finished plane of the network's grid on to the
/// input's slices beside it: linear interpolation between planes, then LabelRestorer within the slice, structure by
/// structure. So no probability volume of any structure is ever whole in memory: the blended features of about
/// patch.z planes, two planes of probabilities, and one slice of one structure on the input's grid.
class VolumeSegmenter : public Segmenter {
  public:
    /// Several models vote with their mean probability; the first one's recipe counts. Throws UsageError for a device,
    /// precision or mirror axis that cannot be had, DataError when the models do not fit together.
    VolumeSegmenter(std::vector<LoadedModel> models, const SegmenterOptions& options);

    const LabelTable& labels() const override { return format_.labels; }
    LabelMap segment(const Volume<float>& image, const std::function<void()>& advance,
                     const ProbabilitySink& probabilities, Volume<float>* uncertainty) override;
    std::vector<double> thresholds() const override { return thresholds_; }
    double networkSeconds() const override { return networkSeconds_; }
    SliceAxis axis() const override { return SliceAxis::Axial; }

  private:
    VolumeFormat format_;
    Index3 patch_{};
    double overlap_;
    std::int64_t batchSize_;
    std::vector<double> thresholds_;
    PatchEnsemble ensemble_;
    double networkSeconds_ = 0;
};

}  // namespace medseg
