// Probability volumes of many structures without holding them in memory.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/slice_plan.h"
#include "medseg/volume/label_map.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// Collects probability slices in a nameless scratch file (float, only slices that arrive take disk space) and gives
/// them back one structure at a time: memory for a single volume whatever the number of structures.
class ProbabilitySpool {
  public:
    /// `folder`: where the scratch file lies. Throws WorkError when it cannot be created.
    ProbabilitySpool(std::filesystem::path folder, const Geometry& geometry, SliceAxis axis, const LabelTable& labels);
    ~ProbabilitySpool();
    ProbabilitySpool(const ProbabilitySpool&) = delete;
    ProbabilitySpool& operator=(const ProbabilitySpool&) = delete;

    /// `values`: one canonical slice as SlicePlan orders it. Throws WorkError (full disk).
    void add(int structure, std::int64_t slice, const float* values);
    bool has(int structure) const;
    /// Zeros where no slice arrived. Throws WorkError.
    Volume<float> volume(int structure) const;
    /// Writes <structure>.nii.gz to the folder, for every structure.
    void writeVolumes() const;

  private:
    std::uint64_t offsetOf(int structure, std::int64_t slice) const;

    std::filesystem::path folder_;
    Geometry geometry_;
    LabelTable labels_;
    SlicePlan plan_;
    int descriptor_ = -1;
    std::vector<std::vector<bool>> present_;  ///< [structure][slice]
};

}  // namespace medseg
