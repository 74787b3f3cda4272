#include "medseg/infer/slice_restoration.h"

#include <vector>

#include "medseg/imaging/resize2d.h"
#include "medseg/infer/probabilities.h"

namespace medseg {

void SliceRestoration::restore(const float* probability, std::int64_t height, std::int64_t width, std::int64_t channels,
                               std::int64_t slice) const {
    std::vector<std::uint16_t> plane(static_cast<std::size_t>(plan_.height * plan_.width));
    LabelRestorer::PlaneSink sink;
    if (ordered())
        sink = [&](int structure, const float* values) { (*outputs_.probabilities)(structure, slice, values); };
    restorer_.restore(probability, height, width, channels, {plane.data(), plan_.width, plan_.height, plan_.width},
                      sink);
    plan_.scatter(plane.data(), slice, outputs_.labels->data());
    if (outputs_.uncertainty != nullptr) restoreUncertainty(probability, height, width, channels, slice);
}

void SliceRestoration::restoreUncertainty(const float* probability, std::int64_t height, std::int64_t width,
                                          std::int64_t channels, std::int64_t slice) const {
    std::vector<float> entropy(static_cast<std::size_t>(height * width));
    for (std::int64_t pixel = 0; pixel < height * width; ++pixel)
        entropy[static_cast<std::size_t>(pixel)] = pixelEntropy(probability + pixel * channels, channels, output_);
    std::vector<float> plane(static_cast<std::size_t>(plan_.height * plan_.width));
    resizeBilinear(SliceView<const float>{entropy.data(), width, height, width},
                   SliceView<float>{plane.data(), plan_.width, plan_.height, plan_.width});
    plan_.scatter(plane.data(), slice, outputs_.uncertainty->data());
}

}  // namespace medseg
