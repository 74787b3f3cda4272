// The train stage in several processes.
#pragma once

#include "medseg/base/ranks.h"
#include "medseg/pipeline/pipeline.h"

namespace medseg {

/// In every process of a job: the first one prepares the slices, then all train together. `force` trains even when the
/// stage is up to date. Throws what Pipeline::run() throws, and WorkError when contact to another process is lost.
void trainAsRank(Pipeline& pipeline, const RankSettings& rank, bool force);

}  // namespace medseg
