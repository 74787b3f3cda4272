#include "medseg/infer/volume_segmenter.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/threads.h"
#include "medseg/infer/thresholds.h"
#include "medseg/nn/device.h"

namespace medseg {
namespace {

/// Slices of the input that lie at and between two neighbouring planes of the network's grid, as those arrive.
class PlaneInterpolation {
  public:
    PlaneInterpolation(const SliceRestoration& restoration, std::int64_t planes, std::int64_t slices,
                       const std::function<void()>& advance)
        : restoration_(restoration), planes_(planes), slices_(slices), advance_(advance) {}

    /// `probability`: (y, x, outputs) of plane z; planes arrive in ascending order.
    void add(std::int64_t z, torch::Tensor probability) {
        lower_ = upper_.defined() ? upper_ : probability;
        upper_ = std::move(probability);
        for (; next_ < slices_; ++next_) {
            // Half-pixel centres, as resizeBilinear() within the slice.
            const double position =
                (static_cast<double>(next_) + 0.5) * static_cast<double>(planes_) / static_cast<double>(slices_) - 0.5;
            const double clamped = std::clamp(position, 0.0, static_cast<double>(planes_ - 1));
            const auto below = std::min(static_cast<std::int64_t>(clamped), std::max<std::int64_t>(0, planes_ - 2));
            if (planes_ > 1 && below + 1 > z) break;  // a plane to come is needed
            pending_.push_back({next_, lower_, upper_, static_cast<float>(clamped - static_cast<double>(below))});
            if (std::ssize(pending_) >= threadCount()) restorePending();
        }
        restorePending();
    }

  private:
    struct Slice {
        std::int64_t number;
        torch::Tensor lower, upper;
        float share;  ///< of `upper`
    };

    void restorePending() {
        const auto restore = [this](std::int64_t i) { restoreSlice(pending_[static_cast<std::size_t>(i)]); };
        if (restoration_.ordered())
            for (std::int64_t i = 0; i < std::ssize(pending_); ++i) restore(i);
        else
            parallelForEach(0, std::ssize(pending_), restore);
        for (std::size_t i = 0; advance_ && i < pending_.size(); ++i) advance_();
        pending_.clear();
    }

    void restoreSlice(const Slice& slice) const {
        const std::int64_t height = slice.upper.size(0), width = slice.upper.size(1), channels = slice.upper.size(2);
        const float *a = slice.lower.data_ptr<float>(), *b = slice.upper.data_ptr<float>();
        std::vector<float> between;
        const float* values = slice.share == 0 ? a : b;
        if (slice.share > 0 && slice.share < 1) {
            between.resize(static_cast<std::size_t>(height * width * channels));
            for (std::size_t i = 0; i < between.size(); ++i) between[i] = a[i] + slice.share * (b[i] - a[i]);
            values = between.data();
        }
        restoration_.restore(values, height, width, channels, slice.number);
    }

    const SliceRestoration& restoration_;
    std::int64_t planes_, slices_, next_ = 0;
    const std::function<void()>& advance_;
    torch::Tensor lower_, upper_;
    std::vector<Slice> pending_;
};

Index3 patchOf(const ModelSettings& settings) {
    return {settings.patchSize[0], settings.patchSize[1], settings.patchSize[2]};
}

double secondsSince(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

VolumeSegmenter::VolumeSegmenter(std::vector<LoadedModel> models, const SegmenterOptions& options)
    : format_(volumeFormatFrom(models.front().recipe.prepare, models.front().labels)),
      patch_(patchOf(models.front().recipe.model)),
      overlap_(options.overlap >= 0 ? options.overlap : models.front().recipe.predict.overlap),
      batchSize_(options.batchSize > 0 ? options.batchSize : models.front().recipe.predict.batchSize),
      thresholds_(thresholdsFor(models.front(), options)),
      ensemble_(models, deviceFromName(options.device), precisionFromName(options.precision), options.mirror) {}

LabelMap VolumeSegmenter::segment(const Volume<float>& image, const std::function<void()>& advance,
                                  const ProbabilitySink& probabilities, Volume<float>* uncertainty) {
    const c10::InferenceMode inference;
    Volume<std::uint16_t> labels(image.geometry(), 0);
    if (uncertainty != nullptr) *uncertainty = Volume<float>(image.geometry(), 0);
    const SlicePlan plan = SlicePlan::of(image.geometry(), axis());
    const SliceRestoration restoration(plan, ensemble_.output(), LabelRestorer(ensemble_.output(), thresholds_),
                                       {&labels, uncertainty, &probabilities});
    const Volume<float> grid = networkVolume(image.clone(), format_);
    PlaneInterpolation interpolation(restoration, grid.nz(), plan.count, advance);
    SlidingWindow(patch_, overlap_, batchSize_)
        .run(
            grid,
            [&](const torch::Tensor& windows, const std::vector<VolumePart>& parts) {
                const auto start = std::chrono::steady_clock::now();
                auto features = ensemble_.features(windows, parts);
                networkSeconds_ += secondsSince(start);
                return features;
            },
            [&](std::int64_t z, const torch::Tensor& features) {
                interpolation.add(z, ensemble_.probabilities(features));
            });
    return LabelMap::fromAny(AnyVolume(std::move(labels)), format_.labels, "prediction");
}

}  // namespace medseg
