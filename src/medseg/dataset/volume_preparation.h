// From raw volumes to a volume cache: window, resample, index the structures, store.
#pragma once

#include <filesystem>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/layout.h"
#include "medseg/dataset/volume_cache.h"
#include "medseg/recipe/settings.h"

namespace medseg {

/// Prepares all cases of the dataset into `directory` (see volume_cache.h) with the engine of case_pipeline.h: several
/// cases at once as memory allows, finished cases kept while inputs and settings are the same, damaged ones listed in
/// the result. Throws UsageError for an empty window, DataError when no case at all could be prepared, and what
/// runCasePipeline throws.
CasePipelineResult prepareVolumes(const Dataset& dataset, const PrepareSettings& settings,
                                  const std::filesystem::path& directory);

/// For each label id 1..labelCount (index = id, [0] empty): all of its voxels in any layer if there are at most `most`,
/// else `most` of them, one drawn from each of `most` equal stretches in scan order. The same input gives the same
/// voxels. Voxel numbers are ascending. Throws DataError when the volume has more voxels than 32 bits count.
std::vector<std::vector<std::uint32_t>> sampleForeground(const std::vector<LabelMap>& layers, std::size_t labelCount,
                                                         std::int64_t most);

}  // namespace medseg
