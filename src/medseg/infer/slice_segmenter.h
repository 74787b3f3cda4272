// Segments a volume slice by slice with a 2D network.
#pragma once

#include "medseg/nn/model_file.h"
#include "medseg/nn/network_module.h"

namespace medseg {

class SliceSegmenter : public Segmenter {
  public:
    /// Throws UsageError for a device that this libtorch cannot use.
    SliceSegmenter(LoadedModel model, const SegmenterOptions& options);

    const LabelTable& labels() const override { return model_.labels; }
    LabelMap segment(const Volume<float>& image, const std::function<void()>& advance,
                     const ProbabilitySink& probabilities) override;
    double networkSeconds() const override { return networkSeconds_; }
    SliceAxis axis() const override { return sliceAxisFromName(model_.recipe.prepare.axis); }

  private:
    torch::Tensor prepareBatch(const Volume<float>& image, std::int64_t firstSlice, std::int64_t count) const;
    void restoreBatch(const torch::Tensor& logits, std::int64_t firstSlice, Volume<std::uint16_t>& labels,
                      const ProbabilitySink& probabilities) const;

    LoadedModel model_;
    torch::Device device_;
    std::int64_t batchSize_;
    double threshold_;
    double networkSeconds_ = 0;
};

}  // namespace medseg
