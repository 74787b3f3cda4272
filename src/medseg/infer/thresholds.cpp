#include "medseg/infer/thresholds.h"

#include "medseg/nn/threshold_file.h"

namespace medseg {

std::vector<double> thresholdsFor(const LoadedModel& model, const SegmenterOptions& options) {
    if (outputKindOf(model.recipe.model) == OutputKind::Softmax) return {};
    if (options.searchedThresholds) return readThresholds(model.file, model.labels);
    const double threshold = options.threshold >= 0 ? options.threshold : model.recipe.predict.threshold;
    return std::vector<double>(model.labels.size(), threshold);
}

}  // namespace medseg
