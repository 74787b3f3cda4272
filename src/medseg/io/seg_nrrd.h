// 3D Slicer's segments in the metadata of a NRRD file ("Segment0_Name:=liver" ...).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "medseg/volume/label_map.h"

namespace medseg {

using KeyValues = std::vector<std::pair<std::string, std::string>>;

struct Segment {
    std::string name;
    Color color{};
    int layer = 0;  ///< which volume of the file
    int value = 1;  ///< of its voxels
};

/// In the order of their numbers. Malformed entries are left out.
std::vector<Segment> segmentsIn(const KeyValues& metadata);

/// The ids that segments of several layers get in one label map: their values where those are unique, else 1, 2, 3 ...
std::vector<int> mergedIds(const std::vector<Segment>& segments);

/// Segments `numbers` as a label table with the given ids; repeated names get their id appended.
LabelTable segmentTable(const std::vector<Segment>& segments, const std::vector<int>& ids);

/// The metadata 3D Slicer writes for one layer: id, name, colour, extent, value.
KeyValues segmentMetadata(const LabelTable& table, const Index3& size);

}  // namespace medseg
