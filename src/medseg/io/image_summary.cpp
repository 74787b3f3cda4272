#include "medseg/io/image_summary.h"

#include <atomic>
#include <cmath>
#include <limits>

#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr std::int64_t kVoxelsPerRange = 1 << 18;
constexpr int kMaxLabel = 65535;
constexpr std::int64_t kSurelyLabels = 64, kPerhapsLabels = 256;

struct RangeSums {
    std::int64_t finiteCount = 0;
    double min = std::numeric_limits<double>::infinity(), max = -min, sum = 0;
};

template <typename T>
RangeSums sumRange(const T* voxels, std::int64_t count, double slope, double inter) {
    RangeSums sums;
    for (std::int64_t i = 0; i < count; ++i) {
        const double value = static_cast<double>(voxels[i]) * slope + inter;
        if (!std::isfinite(value)) continue;
        ++sums.finiteCount;
        sums.min = std::min(sums.min, value);
        sums.max = std::max(sums.max, value);
        sums.sum += value;
    }
    return sums;
}

/// Voxels per value 0..65535, or nothing when a value lies outside.
template <typename T>
std::optional<std::vector<std::int64_t>> countValues(const Volume<T>& volume) {
    std::vector<std::atomic<std::int64_t>> total(kMaxLabel + 1);
    std::atomic<bool> outside{false};
    parallelFor(0, volume.voxelCount(), std::int64_t{1} << 20, [&](std::int64_t first, std::int64_t last) {
        std::vector<std::int64_t> counts(kMaxLabel + 1, 0);
        for (std::int64_t i = first; i < last && !outside; ++i) {
            const T value = volume.data()[i];
            if (value < T{0} || static_cast<std::uint64_t>(value) > kMaxLabel)
                outside = true;
            else
                ++counts[static_cast<std::size_t>(value)];
        }
        for (std::size_t id = 0; id < counts.size(); ++id)
            if (counts[id] > 0) total[id] += counts[id];
    });
    if (outside) return std::nullopt;
    return std::vector<std::int64_t>(total.begin(), total.end());
}

template <typename T>
bool hasRegions(const Volume<T>& volume) {
    constexpr std::int64_t kMostChannels = 4;
    if (volume.nx() <= kMostChannels) return false;  // numpy's (rows, columns, channels): equal channels are no regions
    std::atomic<std::int64_t> equal{0};
    parallelForEach(0, volume.nz(), [&](std::int64_t z) {
        std::int64_t here = 0;
        for (std::int64_t y = 0; y < volume.ny(); ++y) {
            const T* row = volume.slice(z).row(y);
            for (std::int64_t x = 1; x < volume.nx(); ++x) here += row[x] == row[x - 1] ? 1 : 0;
        }
        equal += here;
    });
    return 2 * equal >= (volume.nx() - 1) * volume.ny() * volume.nz();
}

/// Counts per value if the volume looks like a label map.
std::optional<std::vector<std::int64_t>> labelCounts(const ImageHeader& header, const AnyVolume& stored) {
    if (header.hasScaling) return std::nullopt;
    return std::visit(
        [&]<typename T>(const Volume<T>& volume) -> std::optional<std::vector<std::int64_t>> {
            if constexpr (std::is_integral_v<T>) {
                auto counts = countValues(volume);
                if (!counts) return std::nullopt;
                const auto distinct =
                    std::count_if(counts->begin(), counts->end(), [](std::int64_t n) { return n > 0; });
                const bool isLabelMap = !header.labels.empty() || distinct <= kSurelyLabels ||
                                        (distinct <= kPerhapsLabels && hasRegions(volume));
                return isLabelMap ? counts : std::nullopt;
            }
            return std::nullopt;
        },
        stored);
}

}  // namespace

ValueStatistics statisticsOf(const AnyVolume& stored, double slope, double inter) {
    return std::visit(
        [&](const auto& volume) {
            const std::int64_t count = volume.voxelCount(), ranges = (count + kVoxelsPerRange - 1) / kVoxelsPerRange;
            std::vector<RangeSums> parts(static_cast<std::size_t>(ranges));
            parallelForEach(0, ranges, [&](std::int64_t i) {
                const std::int64_t first = i * kVoxelsPerRange;
                parts[static_cast<std::size_t>(i)] =
                    sumRange(volume.data() + first, std::min(kVoxelsPerRange, count - first), slope, inter);
            });
            RangeSums all;
            for (const RangeSums& part : parts) {
                all.finiteCount += part.finiteCount;
                all.min = std::min(all.min, part.min);
                all.max = std::max(all.max, part.max);
                all.sum += part.sum;
            }
            return ValueStatistics{all.finiteCount, count - all.finiteCount, all.min, all.max,
                                   all.sum / static_cast<double>(std::max<std::int64_t>(1, all.finiteCount))};
        },
        stored);
}

bool looksLikeLabelMap(const ImageHeader& header, const AnyVolume& stored) {
    return labelCounts(header, stored).has_value();
}

ImageSummary summarizeImage(const std::filesystem::path& path, ReadOptions options) {
    options.stackVolumes = !options.volumeIndex;
    StoredImage image = readStoredImage(path, options);
    ImageSummary summary;
    summary.statistics = statisticsOf(image.voxels, image.header.slope, image.header.inter);
    if (const auto counts = labelCounts(image.header, image.voxels)) {
        const double millilitres = image.header.geometry.voxelVolume() / 1000;
        for (std::size_t id = 0; id < counts->size(); ++id) {
            const std::int64_t voxels = (*counts)[id];
            if (voxels == 0) continue;
            summary.labels.push_back({static_cast<int>(id),
                                      id == 0 ? "background" : image.header.labels.nameOf(static_cast<int>(id)), voxels,
                                      static_cast<double>(voxels) * millilitres});
        }
    }
    summary.header = std::move(image.header);
    return summary;
}

}  // namespace medseg
