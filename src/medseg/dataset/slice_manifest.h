// cache.json, label_map.json and the record of a case in JSON.
#pragma once

#include <optional>
#include <vector>

#include "medseg/dataset/slice_cache.h"

namespace medseg {

struct SliceManifest {
    SliceFormat format;
    std::vector<CachedCase> cases;
};

/// Throws DataError when there is no cache, another version, or the file does not say what it must.
SliceManifest readSliceManifest(const SliceCachePaths& paths);

/// Writes cache.json and label_map.json, atomically each.
void writeSliceManifest(const SliceCachePaths& paths, const SliceManifest& manifest);

void writeCaseRecord(const SliceCachePaths& paths, const CachedCase& record);
/// Empty when the case has no readable record: it is then prepared anew.
std::optional<CachedCase> findCaseRecord(const SliceCachePaths& paths, const std::string& id);

}  // namespace medseg
