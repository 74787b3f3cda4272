#include "medseg/io/dicom/structure_set.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/io/dicom/dicom_series.h"
#include "medseg/io/dicom/polygon_fill.h"
#include "medseg/io/dicom/segment_painter.h"

namespace medseg::dicom {
namespace {

constexpr Tag kRegions = 0x30060020, kRegionNumber = 0x30060022, kRegionName = 0x30060026, kRegionContours = 0x30060039,
              kDisplayColor = 0x3006002a, kReferencedRegion = 0x30060084, kContours = 0x30060040,
              kContourType = 0x30060042, kContourData = 0x30060050, kReferencedFrames = 0x30060010,
              kReferencedStudies = 0x30060012, kReferencedSeries = 0x30060014, kSeriesUid = 0x0020000e;

constexpr double kFarAway = 1e6;    // voxels
constexpr double kMostSlope = 0.5;  // voxels across slices within one contour

/// Points of one contour on one slice, in voxel coordinates of the grid.
struct Contour {
    std::int64_t slice = 0;
    std::vector<Point2> points;
};

std::string referencedSeries(const DataSet& data) {
    const DataSet study = data.first(kReferencedFrames).first(kReferencedStudies);
    return study.first(kReferencedSeries).text(kSeriesUid);
}

Geometry referenceGrid(const DataSet& data, const DicomFile& file, const ReadOptions& options) {
    const std::string source = file.path.string();
    if (!options.reference.empty()) return readImageHeader(options.reference).geometry;
    const std::string wanted = referencedSeries(data);
    const std::filesystem::path folder = file.path.has_parent_path() ? file.path.parent_path() : ".";
    for (const Series& series : findSeries(folder))
        if (series.isImage() && series.summary.uid == wanted) return imageHeader(series.files, {}, source).geometry;
    throw DataError(source, fmt::format("is a structure set without the image it was drawn on (series {}): name the "
                                        "image or its folder with --reference",
                                        wanted.empty() ? "unknown" : wanted));
}

/// Contours of the regions by their numbers.
std::map<int, DataSet> contoursByRegion(const DataSet& data) {
    std::map<int, DataSet> result;
    for (const DataSet& item : data.items(kRegionContours)) {
        if (const auto number = item.decimal(kReferencedRegion)) result.emplace(static_cast<int>(*number), item);
    }
    return result;
}

std::vector<DicomSegment> regionsOf(const DataSet& data, const std::map<int, DataSet>& contours,
                                    const std::string& source) {
    std::vector<DicomSegment> regions;
    for (const DataSet& item : data.items(kRegions)) {
        const auto number = item.decimal(kRegionNumber);
        if (!number) continue;
        DicomSegment region{static_cast<int>(*number), {0, item.text(kRegionName), {}}};
        if (const auto found = contours.find(region.number); found != contours.end()) {
            const auto color = found->second.decimals(kDisplayColor);
            for (std::size_t c = 0; color.size() == 3 && c < 3; ++c)
                region.label.color[c] = static_cast<std::uint8_t>(std::clamp(color[c], 0.0, 255.0));
        }
        regions.push_back(std::move(region));
    }
    if (regions.empty()) throw DataError(source, "holds no regions");
    assignLabels(regions);
    return regions;
}

Contour onGrid(const std::vector<double>& data, const Affine& worldToVoxel, const std::string& source,
               const std::string& region) {
    Contour contour;
    double low = INFINITY, high = -INFINITY;
    for (std::size_t i = 0; i + 2 < data.size(); i += 3) {
        const Vec3 world{-data[i], -data[i + 1], data[i + 2]};  // LPS to RAS
        Vec3 voxel{};
        for (int row = 0; row < 3; ++row)
            voxel[row] = worldToVoxel[row][0] * world[0] + worldToVoxel[row][1] * world[1] +
                         worldToVoxel[row][2] * world[2] + worldToVoxel[row][3];
        for (const double coordinate : voxel)
            if (!(std::abs(coordinate) < kFarAway))
                throw DataError(source, fmt::format("a contour of \"{}\" lies far outside the image", region));
        contour.points.push_back({voxel[0], voxel[1]});
        low = std::min(low, voxel[2]);
        high = std::max(high, voxel[2]);
    }
    if (high - low > kMostSlope)
        throw DataError(source,
                        fmt::format("a contour of \"{}\" runs across {:.1f} slices of the image: it was drawn on "
                                    "another one",
                                    region, high - low));
    contour.slice = static_cast<std::int64_t>(std::llround((low + high) / 2));
    return contour;
}

/// Contours of a region by slice; those that are points or open lines enclose nothing.
std::map<std::int64_t, std::vector<Contour>> contoursBySlice(const DataSet& region, const Affine& worldToVoxel,
                                                             const std::string& source, const std::string& name) {
    std::map<std::int64_t, std::vector<Contour>> slices;
    for (const DataSet& item : region.items(kContours)) {
        if (!item.text(kContourType).starts_with("CLOSED")) continue;
        const std::vector<double> data = item.decimals(kContourData);
        if (data.empty() || data.size() % 3 != 0)
            throw DataError(source, fmt::format("a contour of \"{}\" is damaged", name));
        Contour contour = onGrid(data, worldToVoxel, source, name);
        slices[contour.slice].push_back(std::move(contour));
    }
    return slices;
}

void fillRegion(const DataSet& contours, const DicomSegment& region, const Geometry& grid, SegmentPainter& painter,
                const std::string& source) {
    const Affine worldToVoxel = inverse(grid.affine());
    std::vector<std::uint8_t> mask(static_cast<std::size_t>(grid.nx() * grid.ny()));
    int outside = 0;
    for (const auto& [slice, parts] : contoursBySlice(contours, worldToVoxel, source, region.label.name)) {
        throwIfInterrupted();
        if (slice < 0 || slice >= grid.nz()) {
            ++outside;
            continue;
        }
        std::fill(mask.begin(), mask.end(), std::uint8_t{0});
        for (const Contour& contour : parts) togglePolygon(contour.points, grid.nx(), grid.ny(), mask);
        const std::int64_t start = slice * grid.nx() * grid.ny();
        for (std::size_t i = 0; i < mask.size(); ++i)
            if (mask[i] != 0) painter.paint(start + static_cast<std::int64_t>(i), region);
    }
    if (outside > 0)
        logWarning("{}: \"{}\" has contours on {} slices outside the image", source, region.label.name, outside);
}

ImageHeader headerFrom(const std::vector<DicomSegment>& regions, const Geometry& grid) {
    ImageHeader header;
    header.format = "DICOM RTSTRUCT";
    header.geometry = grid;
    header.shape.assign(grid.size().begin(), grid.size().end());
    header.storedType = labelTypeName(regions);
    header.labels = tableOf(regions);
    header.notes.push_back(fmt::format("{} regions", regions.size()));
    return header;
}

}  // namespace

ImageHeader structureSetHeader(const DicomFile& file, const ReadOptions& options) {
    const Document document(file.path);
    const DataSet& data = document.data();
    const std::string source = file.path.string();
    return headerFrom(chosenSegments(regionsOf(data, contoursByRegion(data), source), options.segments, source),
                      referenceGrid(data, file, options));
}

StoredImage readStructureSet(const DicomFile& file, const ReadOptions& options) {
    const Document document(file.path);
    const DataSet& data = document.data();
    const std::string source = file.path.string();
    const std::map<int, DataSet> contours = contoursByRegion(data);
    const auto regions = chosenSegments(regionsOf(data, contours, source), options.segments, source);
    const Geometry grid = referenceGrid(data, file, options);
    SegmentPainter painter(grid, regions);
    for (const DicomSegment& region : regions)
        if (const auto found = contours.find(region.number); found != contours.end())
            fillRegion(found->second, region, grid, painter, source);
    return {headerFrom(regions, grid), painter.take(source)};
}

}  // namespace medseg::dicom
