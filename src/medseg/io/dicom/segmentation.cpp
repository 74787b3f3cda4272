#include "medseg/io/dicom/segmentation.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/io/dicom/cielab.h"
#include "medseg/io/dicom/dicom_pixels.h"
#include "medseg/io/dicom/segment_painter.h"
#include "medseg/io/dicom/series_grid.h"

namespace medseg::dicom {
namespace {

constexpr Tag kSegmentationType = 0x00620001, kSegments = 0x00620002, kSegmentNumber = 0x00620004,
              kSegmentLabel = 0x00620005, kColor = 0x0062000d, kMaximumFraction = 0x0062000e, kPixelData = 0x7fe00010;

constexpr double kOnGrid = 0.02;           // voxels
constexpr std::int64_t kMaxSlices = 4096;  // of a grid that sparse frames span

enum class Kind { Binary, Fractional, LabelMap };

struct Description {
    Kind kind = Kind::Binary;
    double threshold = 1;  ///< fractional values from here on belong to the segment
    std::vector<DicomSegment> segments;
    Geometry geometry;
};

Kind kindOf(const DataSet& data, const DicomFile& file) {
    const std::string type = data.text(kSegmentationType);
    if (type == "FRACTIONAL") return Kind::Fractional;
    if (type == "LABELMAP") return Kind::LabelMap;
    if (type == "BINARY" && file.pixels.bitsAllocated == 1) return Kind::Binary;
    throw DataError(file.path.string(), fmt::format("segmentations of type \"{}\" with {} bits are not supported", type,
                                                    file.pixels.bitsAllocated));
}

std::vector<DicomSegment> segmentsOf(const DataSet& data, const std::string& source) {
    std::vector<DicomSegment> segments;
    for (const DataSet& item : data.items(kSegments)) {
        DicomSegment segment;
        segment.number = item.unsignedShort(kSegmentNumber).value_or(0);
        segment.label.name = item.text(kSegmentLabel);
        if (const auto lab = item.shorts(kColor); lab.size() == 3) segment.label.color = fromDicomCieLab(lab);
        if (segment.number > 0) segments.push_back(std::move(segment));  // 0 is the background of label maps
    }
    if (segments.empty()) throw DataError(source, "names no segments");
    assignLabels(segments);
    return segments;
}

/// Depths of the frames along their normal, ascending, each once.
std::vector<double> depthsOf(const std::vector<Frame>& frames) {
    const Vec3 normal = normalOf(frames.front());
    std::vector<double> depths;
    for (const Frame& frame : frames) {
        const Vec3& p = *frame.position;
        depths.push_back(p[0] * normal[0] + p[1] * normal[1] + p[2] * normal[2]);
    }
    std::sort(depths.begin(), depths.end());
    constexpr double kSameDepth = 0.005;  // mm
    depths.erase(
        std::unique(depths.begin(), depths.end(), [](double a, double b) { return std::abs(a - b) < kSameDepth; }),
        depths.end());
    return depths;
}

bool areMultiples(const std::vector<double>& depths, double spacing) {
    if (!(spacing > 0)) return false;
    return std::all_of(depths.begin(), depths.end(), [&](double depth) {
        const double steps = (depth - depths.front()) / spacing;
        return std::abs(steps - std::round(steps)) < kOnGrid * std::max(1.0, 0.1 * steps);
    });
}

/// The grid that the frames themselves span: at the declared distance if their places agree with it, else at the
/// smallest distance between them.
Geometry ownGrid(const DicomFile& file) {
    const std::string source = file.path.string();
    for (const Frame& frame : file.frames)
        if (!frame.position) throw DataError(source, "a frame of it has no position");
    const std::vector<double> depths = depthsOf(file.frames);
    double spacing = file.sliceDistance > 0 ? file.sliceDistance : 1;
    if (!areMultiples(depths, spacing)) {
        spacing = depths.back() - depths.front();
        for (std::size_t i = 1; i < depths.size(); ++i) spacing = std::min(spacing, depths[i] - depths[i - 1]);
        if (!areMultiples(depths, spacing)) throw DataError(source, "its frames lie at uneven distances");
    }
    const double count = std::round((depths.back() - depths.front()) / spacing) + 1;
    if (count > static_cast<double>(kMaxSlices)) throw DataError(source, "its frames span too many slices");
    const Vec3 normal = normalOf(file.frames.front());
    const auto lowest = std::min_element(file.frames.begin(), file.frames.end(), [&](const Frame& a, const Frame& b) {
        const auto depth = [&](const Frame& f) {
            return (*f.position)[0] * normal[0] + (*f.position)[1] * normal[1] + (*f.position)[2] * normal[2];
        };
        return depth(a) < depth(b);
    });
    return gridGeometry(*lowest, {normal[0] * spacing, normal[1] * spacing, normal[2] * spacing}, file.pixels,
                        static_cast<std::int64_t>(count));
}

Description describe(const DataSet& data, const DicomFile& file, const ReadOptions& options) {
    const std::string source = file.path.string();
    Description result;
    result.kind = kindOf(data, file);
    const double maximum = data.unsignedShort(kMaximumFraction).value_or(255);
    if (result.kind == Kind::Fractional) result.threshold = std::max(1.0, maximum / 2);
    result.segments = chosenSegments(segmentsOf(data, source), options.segments, source);
    result.geometry = options.reference.empty() ? ownGrid(file) : readImageHeader(options.reference).geometry;
    return result;
}

ImageHeader headerFrom(const Description& description, const DicomFile& file) {
    ImageHeader header;
    header.format = "DICOM SEG";
    header.geometry = description.geometry;
    const Index3& size = header.geometry.size();
    header.shape.assign(size.begin(), size.end());
    header.storedType = labelTypeName(description.segments);
    header.labels = tableOf(description.segments);
    header.notes.push_back(fmt::format("{} segments in {} frames", description.segments.size(), file.frames.size()));
    return header;
}

/// The slice of `grid` on which a frame lies, pixel on voxel.
std::int64_t sliceOf(const Frame& frame, const DicomFile& file, const Geometry& grid) {
    const Geometry plane = gridGeometry(frame, normalOf(frame), file.pixels, 1);
    const Vec3 first = grid.worldToVoxel(plane.voxelToWorld({0, 0, 0}));
    const double lastColumn = file.pixels.columns - 1, lastRow = file.pixels.rows - 1;
    const Vec3 last = grid.worldToVoxel(plane.voxelToWorld({lastColumn, lastRow, 0}));
    const double slice = std::round(first[2]);
    const bool fits = std::abs(first[0]) < kOnGrid && std::abs(first[1]) < kOnGrid &&
                      std::abs(last[0] - lastColumn) < kOnGrid && std::abs(last[1] - lastRow) < kOnGrid &&
                      std::abs(first[2] - slice) < 10 * kOnGrid && std::abs(last[2] - slice) < 10 * kOnGrid &&
                      grid.nx() == file.pixels.columns && grid.ny() == file.pixels.rows && slice >= 0 &&
                      slice < static_cast<double>(grid.nz());
    if (!fits)
        throw DataError(file.path.string(),
                        fmt::format("frame {} does not lie on the grid {}", frame.index + 1, grid.describe()));
    return static_cast<std::int64_t>(slice);
}

/// Packed bits, the least significant first, without padding between frames.
std::vector<std::uint8_t> unpackedBits(const DataSet& data, const DicomFile& file) {
    const std::size_t count =
        static_cast<std::size_t>(file.pixels.rows) * static_cast<std::size_t>(file.pixels.columns) * file.frames.size();
    const Element* element = data.find(kPixelData);
    if (element == nullptr || element->isEncapsulated)
        throw DataError(file.path.string(), "its pixel data are missing or compressed: not supported");
    const ByteSpan packed = element->value;
    if (packed.size() < (count + 7) / 8)
        throw DataError(file.path.string(), fmt::format("truncated: {} bits need {} bytes, {} are there", count,
                                                        (count + 7) / 8, packed.size()));
    std::vector<std::uint8_t> bits(count);
    for (std::size_t i = 0; i < count; ++i) bits[i] = static_cast<std::uint8_t>(packed[i / 8] >> (i % 8) & 1);
    return bits;
}

/// All frames, one behind the other: 0/1, fractions, or segment numbers.
template <typename T>
std::vector<T> decodedFrames(const DicomFile& file) {
    requireReadablePixels(file);
    const std::size_t pixels =
        static_cast<std::size_t>(file.pixels.rows) * static_cast<std::size_t>(file.pixels.columns);
    std::vector<T> values(pixels * file.frames.size());
    std::vector<T*> targets;
    for (std::size_t i = 0; i < file.frames.size(); ++i) targets.push_back(values.data() + i * pixels);
    decodeFrames(file, false, targets);
    return values;
}

template <typename T>
void paintFrames(const std::vector<T>& values, const DicomFile& file, const Description& description,
                 SegmentPainter& painter) {
    const auto pixels = static_cast<std::int64_t>(file.pixels.rows) * file.pixels.columns;
    const auto threshold = static_cast<T>(std::ceil(description.threshold));
    for (const Frame& frame : file.frames) {
        const T* source = values.data() + static_cast<std::int64_t>(frame.index) * pixels;
        const DicomSegment* segment = painter.find(frame.segment);
        if (description.kind != Kind::LabelMap && segment == nullptr) continue;
        const std::int64_t start = sliceOf(frame, file, description.geometry) * pixels;
        for (std::int64_t i = 0; i < pixels; ++i) {
            if (description.kind != Kind::LabelMap) {
                if (source[i] >= threshold) painter.paint(start + i, *segment);
            } else if (source[i] != 0) {
                if (const DicomSegment* own = painter.find(static_cast<int>(source[i]))) painter.paint(start + i, *own);
            }
        }
    }
}

}  // namespace

ImageHeader segmentationHeader(const DicomFile& file, const ReadOptions& options) {
    const Document document(file.path);
    return headerFrom(describe(document.data(), file, options), file);
}

StoredImage readSegmentation(const DicomFile& file, const ReadOptions& options) {
    const Document document(file.path);
    const DataSet& data = document.data();
    const Description description = describe(data, file, options);
    SegmentPainter painter(description.geometry, description.segments);
    if (description.kind == Kind::Binary) {
        paintFrames(unpackedBits(data, file), file, description, painter);
    } else if (file.pixels.bitsAllocated <= 8) {
        paintFrames(decodedFrames<std::uint8_t>(file), file, description, painter);
    } else {
        paintFrames(decodedFrames<std::uint16_t>(file), file, description, painter);
    }
    return {headerFrom(description, file), painter.take(file.path.string())};
}

}  // namespace medseg::dicom
