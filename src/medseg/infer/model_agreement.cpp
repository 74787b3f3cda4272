#include "medseg/infer/model_agreement.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

void requireSameTask(const LoadedModel& a, const LoadedModel& b) {
    const auto sameName = [](const Label& x, const Label& y) { return x.name == y.name; };
    const auto &labelsA = a.labels.labels(), &labelsB = b.labels.labels();
    const auto &p = a.recipe.prepare, &q = b.recipe.prepare;
    const bool volumes = a.recipe.model.dimensions == 3;
    const char* difference = nullptr;
    if (!std::equal(labelsA.begin(), labelsA.end(), labelsB.begin(), labelsB.end(), sameName))
        difference = "structures";
    if (a.recipe.model.output != b.recipe.model.output) difference = "model.output";
    if (p.window != q.window || (volumes && p.spacing != q.spacing) ||
        (!volumes && (p.imageSize != q.imageSize || p.axis != q.axis)))
        difference = "preparation";
    if (a.recipe.model.coordinates != b.recipe.model.coordinates) difference = "model.coordinates";
    if (a.recipe.model.neighbours != b.recipe.model.neighbours) difference = "model.neighbours";
    if (a.recipe.model.dimensions != b.recipe.model.dimensions) difference = "model.dimensions";
    if (difference != nullptr)
        throw DataError(b.file.string(), fmt::format("differs from {} in its {}: they cannot vote together",
                                                     a.file.string(), difference));
}

void requireSliceNetwork(const LoadedModel& model, const char* what) {
    if (model.recipe.model.dimensions != 2)
        throw UsageError(fmt::format("{}: {} is for two-dimensional networks", model.file.string(), what));
}

}  // namespace medseg
