// Label maps out of segments that may overlap.
#pragma once

#include <string>
#include <vector>

#include "medseg/io/image_file.h"

namespace medseg::dicom {

/// A segment of a DICOM segmentation or a region of a structure set.
struct DicomSegment {
    int number = 0;  ///< as the file counts
    Label label;     ///< what it becomes; id 1..65535
};

/// Ids are the file's numbers where these are unique and lie in 1..65535, else 1, 2, 3 ...; names that are missing or
/// repeated get the number appended.
void assignLabels(std::vector<DicomSegment>& segments);

LabelTable tableOf(const std::vector<DicomSegment>& segments);

/// The segments that `wanted` names, by name or number; all of them if it is empty. Throws DataError that lists the
/// names.
std::vector<DicomSegment> chosenSegments(const std::vector<DicomSegment>& segments,
                                         const std::vector<std::string>& wanted, const std::string& source);

/// Collects voxels of segments; two segments at one voxel are an error when the volume is taken.
class SegmentPainter {
  public:
    SegmentPainter(const Geometry& geometry, std::vector<DicomSegment> segments);

    const std::vector<DicomSegment>& segments() const { return segments_; }
    /// The segment that the file calls `number`; nullptr if it was not chosen.
    const DicomSegment* find(int number) const;
    void paint(std::int64_t voxel, const DicomSegment& segment);
    /// uint8 where all ids fit, else uint16. Throws DataError naming the first two segments that overlap.
    AnyVolume take(const std::string& source);

  private:
    std::vector<DicomSegment> segments_;
    Volume<std::uint16_t> voxels_;
    std::int64_t overlapping_ = 0;
    std::pair<int, int> overlappingIds_{};
};

/// numpy's name of the type that take() gives.
std::string labelTypeName(const std::vector<DicomSegment>& segments);

}  // namespace medseg::dicom
