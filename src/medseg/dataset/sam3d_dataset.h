// The training files of SAM 3D as samples: an object (label) on a slice of a case, with the object's distances in 3D.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/sam3d_slices.h"
#include "medseg/volume/volume.h"

namespace medseg {

/// One label on one slice.
struct Sam3dObject {
    std::size_t caseIndex = 0;
    int label = 0;
    int axis = 0;
    std::int64_t slice = 0;
    std::int64_t pixels = 0;  ///< of the label on the slice

    bool operator==(const Sam3dObject&) const = default;
};

struct Sam3dDatasetSettings {
    int classes = 0;  ///< labels are 1 to this; 0: all that the first case's distances hold
    std::vector<int> axes{0, 1, 2};
    std::int64_t minPixels = 20;  ///< objects with fewer pixels on a slice are no samples
};

class Sam3dDataset {
  public:
    /// Reads which slices there are in a folder that sam3dForm() wrote, and from the distances which labels they show.
    /// Throws DataError: no slices, a case without ID_sdf.npy or with fewer classes than asked for, damaged files.
    Sam3dDataset(const std::filesystem::path& folder, const Sam3dDatasetSettings& settings);

    const std::filesystem::path& folder() const { return folder_; }
    /// With `classes` as found.
    const Sam3dDatasetSettings& settings() const { return settings_; }
    /// Case ids ("s0001.nii"), ascending.
    const std::vector<std::string>& cases() const { return cases_; }
    /// Voxels along i, j, k.
    const Index3& sizeOf(std::size_t caseIndex) const { return sizes_.at(caseIndex); }
    /// Samples of a case by label, axis and slice.
    const std::vector<Sam3dObject>& objectsOf(std::size_t caseIndex) const { return objects_.at(caseIndex); }
    /// "s0001.nii_axis2_slice0031 label 3": for messages.
    std::string describe(const Sam3dObject& object) const;

    struct LoadedSlice {
        Sam3dSlice slice;
        Affine affine{};  ///< index (i, j, k) to RAS+ mm
    };
    /// Throws DataError: missing arrays, shapes or types that do not fit together.
    LoadedSlice readSlice(const Sam3dObject& object) const;
    /// Signed distance of a label in voxels, memory order (i, j, k).
    Volume<float> readDistance(std::size_t caseIndex, int label) const;

  private:
    void scanCase(std::size_t caseIndex, const std::vector<std::pair<int, std::int64_t>>& slices);
    std::filesystem::path distanceFile(std::size_t caseIndex) const;

    std::filesystem::path folder_;
    Sam3dDatasetSettings settings_;
    std::vector<std::string> cases_;
    std::vector<Index3> sizes_;
    std::vector<std::vector<Sam3dObject>> objects_;
};

/// A slice cut or padded to height x width around its centre; padding has the smallest intensity, label 0 and no
/// points. 0 keeps a side as it is.
Sam3dSlice centredSlice(const Sam3dSlice& slice, std::int64_t height, std::int64_t width);

}  // namespace medseg
