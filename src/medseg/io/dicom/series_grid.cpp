#include "medseg/io/dicom/series_grid.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/io/lps.h"

namespace medseg::dicom {
namespace {

constexpr double kSamePlace = 0.005;     // mm
constexpr double kSameDirection = 1e-3;  // of direction cosines
constexpr double kSameSpacing = 1e-3;    // mm
constexpr double kUnevenShare = 0.05;    // of the spacing
constexpr double kUnevenLength = 0.01;   // mm, for very thin slices
constexpr double kReportedTilt = 0.1;    // degrees
constexpr double kMaxGrowth = 10;        // interpolated slices for each slice of a series with gaps

double dot(const Vec3& a, const Vec3& b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

double distance(const Vec3& a, const Vec3& b) {
    return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

std::string place(const Frame& frame) {
    const Vec3& p = *frame.position;
    return fmt::format("({:.6g}, {:.6g}, {:.6g})", p[0], p[1], p[2]);
}

std::string sizesOf(const std::vector<DicomFile>& files) {
    std::map<std::pair<int, int>, int> counts;
    for (const DicomFile& file : files) counts[{file.pixels.columns, file.pixels.rows}] += file.pixels.frames;
    std::vector<std::string> parts;
    for (const auto& [size, count] : counts) parts.push_back(fmt::format("{}x{} ({})", size.first, size.second, count));
    return fmt::format("{}", fmt::join(parts, ", "));
}

void requireOneLook(const std::vector<DicomFile>& files, const std::vector<Frame>& frames, const std::string& source) {
    const PixelLayout& pixels = files.front().pixels;
    for (const DicomFile& file : files)
        if (file.pixels.rows != pixels.rows || file.pixels.columns != pixels.columns)
            throw DataError(source,
                            fmt::format("its images have different sizes: {}: keep those of one size", sizesOf(files)));
    const Frame& first = frames.front();
    for (const Frame& frame : frames) {
        if (std::abs(frame.rowSpacing - first.rowSpacing) > kSameSpacing ||
            std::abs(frame.columnSpacing - first.columnSpacing) > kSameSpacing)
            throw DataError(source,
                            fmt::format("its images have different pixel spacings: {:.6g} x {:.6g} and {:.6g} x "
                                        "{:.6g} mm in {}",
                                        first.columnSpacing, first.rowSpacing, frame.columnSpacing, frame.rowSpacing,
                                        files[frame.file].path.filename().string()));
        if (distance(frame.alongRow, first.alongRow) > kSameDirection ||
            distance(frame.alongColumn, first.alongColumn) > kSameDirection)
            throw DataError(source, fmt::format("its images lie in different directions (a localizer?), {} against {}: "
                                                "keep those of one direction",
                                                files[frame.file].path.filename().string(),
                                                files[first.file].path.filename().string()));
    }
}

/// The same image twice (a copy of a file) counts once.
std::vector<Frame> collectFrames(const std::vector<DicomFile>& files, const std::string& source) {
    std::vector<Frame> frames;
    std::set<std::string> seen;
    std::size_t repeated = 0;
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (!files[i].sopInstance.empty() && !seen.insert(files[i].sopInstance).second) {
            ++repeated;
            continue;
        }
        for (Frame frame : files[i].frames) {
            frame.file = i;
            frames.push_back(frame);
        }
    }
    if (repeated > 0) logWarning("{}: {} files are copies of others and were left out", source, repeated);
    return frames;
}

void sortByPlace(std::vector<Frame>& frames) {
    const Vec3 normal = normalOf(frames.front());
    std::stable_sort(frames.begin(), frames.end(), [&](const Frame& a, const Frame& b) {
        const double da = dot(*a.position, normal), db = dot(*b.position, normal);
        return da != db ? da < db : std::tie(a.order, a.file, a.index) < std::tie(b.order, b.file, b.index);
    });
    // Rounded places of one slice differ in the last digit: within a place, time decides.
    for (std::size_t first = 0; first < frames.size();) {
        std::size_t last = first + 1;
        while (last < frames.size() && distance(*frames[last].position, *frames[first].position) < kSamePlace) ++last;
        std::sort(frames.begin() + static_cast<std::ptrdiff_t>(first),
                  frames.begin() + static_cast<std::ptrdiff_t>(last), [](const Frame& a, const Frame& b) {
                      return std::tie(a.order, a.file, a.index) < std::tie(b.order, b.file, b.index);
                  });
        first = last;
    }
}

/// Images for each place, which must be the same everywhere.
std::int64_t countVolumes(const std::vector<Frame>& frames, const std::string& source) {
    std::vector<std::pair<std::size_t, std::int64_t>> places;  // first frame, number of frames
    for (std::size_t i = 0; i < frames.size(); ++i) {
        if (places.empty() || distance(*frames[i].position, *frames[places.back().first].position) >= kSamePlace)
            places.emplace_back(i, 0);
        ++places.back().second;
    }
    const auto [least, most] = std::minmax_element(places.begin(), places.end(),
                                                   [](const auto& a, const auto& b) { return a.second < b.second; });
    if (least->second == most->second) return least->second;
    throw DataError(source,
                    fmt::format("holds {} different images at position {} but {} at {}: keep one of each position",
                                most->second, place(frames[most->first]), least->second, place(frames[least->first])));
}

/// Distances between neighbouring places along the normal.
std::vector<double> gapsOf(const std::vector<Frame>& places) {
    const Vec3 normal = normalOf(places.front());
    std::vector<double> gaps;
    for (std::size_t i = 1; i < places.size(); ++i)
        gaps.push_back(dot(*places[i].position, normal) - dot(*places[i - 1].position, normal));
    return gaps;
}

double medianOf(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

double tolerance(double spacing) {
    return kUnevenShare * spacing + kUnevenLength;
}

bool isEven(const std::vector<Frame>& places, const Vec3& step) {
    const double allowed = tolerance(std::hypot(step[0], step[1], step[2]));
    for (std::size_t i = 0; i < places.size(); ++i) {
        Vec3 expected = *places.front().position;
        for (int axis = 0; axis < 3; ++axis) expected[axis] += static_cast<double>(i) * step[axis];
        if (distance(expected, *places[i].position) > allowed) return false;
    }
    return true;
}

/// "4 mm between (..) and (..) (1 slice missing)", the first few of them.
std::string describeGaps(const std::vector<Frame>& places, const std::vector<double>& gaps, double usual) {
    std::vector<std::string> parts;
    int more = 0;
    for (std::size_t i = 0; i < gaps.size(); ++i) {
        if (std::abs(gaps[i] - usual) <= tolerance(usual)) continue;
        if (parts.size() == 3) {
            ++more;
            continue;
        }
        const double missing = gaps[i] / usual - 1;
        const bool whole = missing > 0.5 && std::abs(missing - std::round(missing)) < 0.1;
        parts.push_back(fmt::format("{:.6g} mm between {} and {}{}", gaps[i], place(places[i]), place(places[i + 1]),
                                    whole ? fmt::format(" ({:.0f} missing)", missing) : std::string()));
    }
    if (parts.empty()) return "they drift away from a straight row of slices";
    return fmt::format("{:.6g} mm mostly, but {}{}", usual, fmt::join(parts, ", "),
                       more > 0 ? fmt::format(" and {} more", more) : std::string());
}

Vec3 scaled(const Vec3& v, double factor) {
    return {v[0] * factor, v[1] * factor, v[2] * factor};
}

/// Slices at even distances `usual` between the first place and the last.
void fillGaps(SeriesGrid& grid, const std::vector<Frame>& places, double usual, const std::string& source) {
    const Vec3 normal = normalOf(places.front());
    const auto depth = [&](std::size_t i) {
        return dot(*places[i].position, normal) - dot(*places[0].position, normal);
    };
    const double length = depth(places.size() - 1);
    const auto count = static_cast<std::int64_t>(std::llround(length / usual)) + 1;
    if (static_cast<double>(count) > kMaxGrowth * static_cast<double>(places.size()))
        throw DataError(source, fmt::format("its gaps need {} slices of {:.6g} mm instead of {}: too far apart to fill",
                                            count, usual, places.size()));
    std::vector<GridSlice> row;
    std::size_t below = 0;
    for (std::int64_t k = 0; k < count; ++k) {
        const double at = std::min(length, static_cast<double>(k) * length / static_cast<double>(count - 1));
        while (below + 2 < places.size() && depth(below + 1) <= at) ++below;
        const double share = (at - depth(below)) / (depth(below + 1) - depth(below));
        row.push_back({below, below + 1, share < 1e-6 ? 0.0 : std::min(share, 1.0)});
    }
    const auto volumes = static_cast<std::size_t>(grid.volumes);
    grid.slices.clear();
    for (std::size_t v = 0; v < volumes; ++v)
        for (const GridSlice& slice : row)
            grid.slices.push_back({slice.first * volumes + v, slice.second * volumes + v, slice.secondShare});
    grid.notes.push_back(
        fmt::format("gaps between slices are filled by interpolation: {} slices of {}", count, places.size()));
}

void noteTilt(SeriesGrid& grid, const Vec3& step) {
    const double length = std::hypot(step[0], step[1], step[2]);
    const double cosine = std::clamp(dot(step, normalOf(grid.frames.front())) / length, -1.0, 1.0);
    grid.tiltDegrees = std::acos(cosine) * 180 / std::numbers::pi;
    if (grid.tiltDegrees < kReportedTilt) return;
    grid.notes.push_back(
        fmt::format("gantry tilt {:.2f} degrees: each slice is shifted by {:.4g} mm against the one "
                    "before, which the affine says",
                    grid.tiltDegrees, length * std::sqrt(1 - cosine * cosine)));
}

void stackPlaces(SeriesGrid& grid, const DicomFile& file, bool allowGaps, const std::string& source) {
    std::vector<Frame> places;
    const auto volumes = static_cast<std::size_t>(grid.volumes);
    for (std::size_t i = 0; i < grid.frames.size(); i += volumes) places.push_back(grid.frames[i]);
    const auto count = static_cast<std::int64_t>(places.size());
    const Vec3 normal = normalOf(places.front());
    Vec3 step = scaled(normal, file.sliceDistance > 0 ? file.sliceDistance : 1);
    if (count > 1) {
        const Vec3 &a = *places.front().position, &b = *places.back().position;
        step = scaled({b[0] - a[0], b[1] - a[1], b[2] - a[2]}, 1 / static_cast<double>(count - 1));
        const std::vector<double> gaps = gapsOf(places);
        if (*std::min_element(gaps.begin(), gaps.end()) <= 0)
            throw DataError(source, "its images lie beside each other, not one behind the other");
        if (!isEven(places, step)) {
            const double usual = medianOf(gaps);
            if (!allowGaps)
                throw DataError(source,
                                fmt::format("uneven slice distances: {}: find the missing slices, or fill the gaps "
                                            "with --allow-gaps",
                                            describeGaps(places, gaps, usual)));
            fillGaps(grid, places, usual, source);
            const double steps = static_cast<double>(grid.slices.size() / volumes) - 1;
            step = scaled(step, static_cast<double>(count - 1) / steps);
        }
        noteTilt(grid, step);
    }
    grid.geometry =
        gridGeometry(places.front(), step, file.pixels, static_cast<std::int64_t>(grid.slices.size() / volumes));
}

}  // namespace

Vec3 normalOf(const Frame& frame) {
    const Vec3 &r = frame.alongRow, &c = frame.alongColumn;
    return {r[1] * c[2] - r[2] * c[1], r[2] * c[0] - r[0] * c[2], r[0] * c[1] - r[1] * c[0]};
}

Geometry gridGeometry(const Frame& first, const Vec3& step, const PixelLayout& pixels, std::int64_t slices) {
    Affine affine = identityAffine();
    const Vec3 origin = first.position.value_or(Vec3{0, 0, 0});
    for (int axis = 0; axis < 3; ++axis) {
        affine[axis][0] = first.alongRow[axis] * first.columnSpacing;
        affine[axis][1] = first.alongColumn[axis] * first.rowSpacing;
        affine[axis][2] = step[axis];
        affine[axis][3] = origin[axis];
    }
    return {{pixels.columns, pixels.rows, slices}, lpsFlipped(affine)};
}

SeriesGrid arrangeSeries(const std::vector<DicomFile>& files, bool allowGaps, const std::string& source) {
    SeriesGrid grid;
    grid.frames = collectFrames(files, source);
    requireOneLook(files, grid.frames, source);
    const bool placed = std::all_of(grid.frames.begin(), grid.frames.end(), [](const Frame& f) { return f.position; });
    const DicomFile& file = files.front();
    if (placed) {
        sortByPlace(grid.frames);
        grid.volumes = countVolumes(grid.frames, source);
    } else if (files.size() > 1) {
        throw DataError(
            source, fmt::format("{} images without ImagePositionPatient have no order: give one file", files.size()));
    }
    const auto volumes = static_cast<std::size_t>(grid.volumes), places = grid.frames.size() / volumes;
    for (std::size_t v = 0; v < volumes; ++v)
        for (std::size_t k = 0; k < places; ++k) grid.slices.push_back({k * volumes + v, k * volumes + v, 0});
    if (placed) {
        stackPlaces(grid, file, allowGaps, source);
    } else {
        const Vec3 step = scaled(normalOf(grid.frames.front()), file.sliceDistance > 0 ? file.sliceDistance : 1);
        grid.geometry = gridGeometry(grid.frames.front(), step, file.pixels, static_cast<std::int64_t>(places));
        grid.notes.push_back("no position in the patient: the origin is 0, slices count as parallel");
    }
    return grid;
}

}  // namespace medseg::dicom
