// MedSAM's cleaning of label maps (pre_CT_MR.py of MedSAM, MedSAM2 and LiteMedSAM; Ma et al. 2024).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "medseg/imaging/components.h"
#include "medseg/volume/volume.h"

namespace medseg {

struct MedsamLabelRules {
    std::vector<int> removeLabels{12};  ///< set to background first (FLARE22: 12 is the duodenum)
    std::optional<int> tumorLabel;      ///< every 26-connected component of it becomes a label of its own
    int tumorOffset = 1;                ///< a component gets its number + largest other label + this (LiteMedSAM: 0)
    std::int64_t dust3d = 1000;         ///< components of fewer voxels are removed from the volume
    std::int64_t dust2d = 100;          ///< then components of fewer pixels are removed from every z slice
    Connectivity connectivity3d = Connectivity::TwentySix;
    Connectivity connectivity2d = Connectivity::Eight;
};

/// Applies the rules in the order of the fields. Returns the number of tumours whose label did not fit into 255: like
/// the original, they wrap around, to 0 or to another label.
std::int64_t cleanMedsamLabels(Volume<std::uint8_t>& labels, const MedsamLabelRules& rules);

/// z of the slices with any label, ascending.
std::vector<std::int64_t> labelledSlices(const Volume<std::uint8_t>& labels);

}  // namespace medseg
