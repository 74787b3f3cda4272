// From raw volumes to a slice cache: window, slice, resize, store.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/layout.h"
#include "medseg/dataset/slice_cache.h"
#include "medseg/recipe/settings.h"

namespace medseg {

struct PreparationResult {
    int prepared = 0;  ///< cases written in this run
    int reused = 0;    ///< cases that were already there, unchanged
    std::int64_t slices = 0;
    std::vector<CaseFailure> failures;  ///< damaged cases, in dataset order; they are not in the cache
};

/// The slice format that the settings describe.
SliceFormat sliceFormatFrom(const PrepareSettings& settings, const LabelTable& labels);

/// Prepares all cases of the dataset into `directory` (see slice_cache.h). Intensities are clipped to the window and
/// scaled to 0..1 before the bilinear resize with half-pixel centres; labels are resized by nearest neighbour.
/// Several cases are worked on at once, as many as half of the free memory holds. Cases whose files (size and time),
/// settings and labels have not changed since an earlier run are kept. A damaged case does not stop the others: it is
/// listed in the result. cache.json is written at the end.
/// Throws DataError when no case at all could be prepared, WorkError when the output cannot be written,
/// InterruptedError on Ctrl-C: finished cases stay and the next run goes on with the rest.
PreparationResult prepareSlices(const Dataset& dataset, const PrepareSettings& settings,
                                const std::filesystem::path& directory);

/// One image slice as the network sees it; the same for training and prediction. `plane` holds plan.height * plan.width
/// values in the unit of the image, `out` receives format.height * format.width values 0..1.
void prepareImagePlane(const SliceFormat& format, const SlicePlan& plan, std::vector<float>& plane, float* out);

}  // namespace medseg
