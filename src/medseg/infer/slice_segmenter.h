// Segments a volume slice by slice with a 2D network.
#pragma once

#include "medseg/infer/slice_ensemble.h"
#include "medseg/infer/slice_restoration.h"
#include "medseg/nn/network_module.h"

namespace medseg {

class SliceSegmenter : public Segmenter {
  public:
    /// Several models vote with their mean probability; the first one's recipe counts. Throws UsageError for a device
    /// or precision that cannot be had, DataError when the models do not fit together.
    SliceSegmenter(std::vector<LoadedModel> models, const SegmenterOptions& options);

    const LabelTable& labels() const override { return labels_; }
    LabelMap segment(const Volume<float>& image, const std::function<void()>& advance,
                     const ProbabilitySink& probabilities, Volume<float>* uncertainty) override;
    double networkSeconds() const override { return networkSeconds_; }
    std::vector<double> thresholds() const override { return thresholds_; }
    SliceAxis axis() const override { return sliceAxisFromName(recipe_.prepare.axis); }

  private:
    void restoreBatch(const torch::Tensor& probability, std::int64_t firstSlice,
                      const SliceRestoration& restoration) const;

    Recipe recipe_;
    LabelTable labels_;
    std::int64_t batchSize_;
    std::vector<double> thresholds_;  ///< one a structure; softmax: empty
    std::unique_ptr<SliceEnsemble> ensemble_;
    double networkSeconds_ = 0;
};

}  // namespace medseg
