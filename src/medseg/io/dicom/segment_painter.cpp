#include "medseg/io/dicom/segment_painter.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"

namespace medseg::dicom {
namespace {

constexpr int kMaxId = 65535, kMaxByte = 255;

int greatestId(const std::vector<DicomSegment>& segments) {
    int greatest = 0;
    for (const DicomSegment& segment : segments) greatest = std::max(greatest, segment.label.id);
    return greatest;
}

std::string namesOf(const std::vector<DicomSegment>& segments) {
    std::vector<std::string> names;
    for (const DicomSegment& segment : segments)
        names.push_back(fmt::format("{} \"{}\"", segment.number, segment.label.name));
    return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

void assignLabels(std::vector<DicomSegment>& segments) {
    std::set<int> numbers;
    bool usable = true;
    for (const DicomSegment& segment : segments)
        usable &= segment.number >= 1 && segment.number <= kMaxId && numbers.insert(segment.number).second;
    std::set<std::string> names;
    for (std::size_t i = 0; i < segments.size(); ++i) {
        Label& label = segments[i].label;
        label.id = usable ? segments[i].number : static_cast<int>(i) + 1;
        if (label.name.empty()) label.name = fmt::format("segment_{}", label.id);
        while (!names.insert(label.name).second) label.name += fmt::format("_{}", label.id);
        if (label.color == Color{}) label.color = labelColor(label.id);
    }
    std::sort(segments.begin(), segments.end(),
              [](const DicomSegment& a, const DicomSegment& b) { return a.label.id < b.label.id; });
}

LabelTable tableOf(const std::vector<DicomSegment>& segments) {
    LabelTable table;
    for (const DicomSegment& segment : segments) table.add(segment.label);
    return table;
}

std::vector<DicomSegment> chosenSegments(const std::vector<DicomSegment>& segments,
                                         const std::vector<std::string>& wanted, const std::string& source) {
    if (wanted.empty()) return segments;
    std::vector<bool> keep(segments.size(), false);
    for (const std::string& text : wanted) {
        const auto found = std::find_if(segments.begin(), segments.end(), [&](const DicomSegment& segment) {
            return segment.label.name == text || std::to_string(segment.number) == text;
        });
        if (found == segments.end())
            throw DataError(source, fmt::format("has no segment \"{}\": it holds {}", text, namesOf(segments)));
        keep[static_cast<std::size_t>(found - segments.begin())] = true;
    }
    std::vector<DicomSegment> chosen;
    for (std::size_t i = 0; i < segments.size(); ++i)
        if (keep[i]) chosen.push_back(segments[i]);
    return chosen;
}

SegmentPainter::SegmentPainter(const Geometry& geometry, std::vector<DicomSegment> segments)
    : segments_(std::move(segments)), voxels_(geometry, 0) {}

const DicomSegment* SegmentPainter::find(int number) const {
    const auto found = std::find_if(segments_.begin(), segments_.end(),
                                    [&](const DicomSegment& segment) { return segment.number == number; });
    return found == segments_.end() ? nullptr : &*found;
}

void SegmentPainter::paint(std::int64_t voxel, const DicomSegment& segment) {
    std::uint16_t& target = voxels_.data()[voxel];
    const auto id = static_cast<std::uint16_t>(segment.label.id);
    if (target != 0 && target != id && overlapping_++ == 0) overlappingIds_ = {target, id};
    target = id;
}

AnyVolume SegmentPainter::take(const std::string& source) {
    if (overlapping_ > 0) {
        const LabelTable table = tableOf(segments_);
        throw DataError(source, fmt::format("segments overlap at {} voxels, \"{}\" and \"{}\" first: a label map holds "
                                            "one for each voxel: choose with --segments",
                                            overlapping_, table.nameOf(overlappingIds_.first),
                                            table.nameOf(overlappingIds_.second)));
    }
    if (greatestId(segments_) > kMaxByte) return std::move(voxels_);
    Volume<std::uint8_t> narrow(voxels_.geometry());
    std::transform(voxels_.voxels().begin(), voxels_.voxels().end(), narrow.data(),
                   [](std::uint16_t id) { return static_cast<std::uint8_t>(id); });
    return narrow;
}

std::string labelTypeName(const std::vector<DicomSegment>& segments) {
    return greatestId(segments) > kMaxByte ? "uint16" : "uint8";
}

}  // namespace medseg::dicom
