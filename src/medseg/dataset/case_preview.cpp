#include "medseg/dataset/case_preview.h"

#include "medseg/dataset/slice_plan.h"

namespace medseg {
namespace {

constexpr std::int64_t kMostTiles = 6;
constexpr std::int64_t kSamples = 1 << 18;

std::uint8_t labelByte(int value) {
    return static_cast<std::uint8_t>(value <= 255 ? value : (value - 1) % 255 + 1);
}

std::vector<std::int64_t> labelledPlanes(const SlicePlan& plan, const LabelMap* labels) {
    std::vector<std::int64_t> planes;
    for (std::int64_t k = 0; k < plan.count; ++k) {
        const bool wanted = labels == nullptr || labels->visit([&](const auto& voxels) {
            for (std::int64_t row = 0; row < plan.height; ++row)
                for (std::int64_t column = 0; column < plan.width; ++column)
                    if (voxels.data()[plan.voxelIndex(k, row, column)] != 0) return true;
            return false;
        });
        if (wanted) planes.push_back(k);
    }
    return planes;
}

template <typename T>
ValueRange shownRange(const Volume<T>& volume, double slope, double inter) {
    const std::int64_t step = std::max<std::int64_t>(1, volume.voxelCount() / kSamples);
    std::vector<float> samples;
    for (std::int64_t i = 0; i < volume.voxelCount(); i += step)
        samples.push_back(static_cast<float>(static_cast<double>(volume.data()[i]) * slope + inter));
    return previewRange(samples);
}

}  // namespace

std::vector<std::int64_t> previewTiles(std::int64_t count) {
    const std::int64_t tiles = std::min(count, kMostTiles);
    std::vector<std::int64_t> chosen;
    for (std::int64_t tile = 0; tile < tiles; ++tile) chosen.push_back((2 * tile + 1) * count / (2 * tiles));
    return chosen;
}

ValueRange previewRange(std::span<const float> values) {
    constexpr float kSurelyAir = -500;
    const std::size_t step = std::max<std::size_t>(1, values.size() / static_cast<std::size_t>(kSamples));
    std::vector<float> samples;
    for (std::size_t i = 0; i < values.size(); i += step) samples.push_back(values[i]);
    if (std::any_of(samples.begin(), samples.end(), [=](float value) { return value < kSurelyAir; }))
        return {-160, 240};
    constexpr std::array<double, 2> kPercents{0.5, 99.5};
    const std::vector<double> limits = percentiles<float>(samples, kPercents);
    return {limits[0], limits[1]};
}

std::uint8_t previewByte(double value, const ValueRange& range) {
    if (!(range.high > range.low)) return 0;
    return static_cast<std::uint8_t>(std::clamp((value - range.low) / (range.high - range.low), 0.0, 1.0) * 255);
}

CasePreview previewOfVolume(const StoredImage& image, const LabelMap* labels) {
    CasePreview preview;
    std::visit(
        [&](const auto& volume) {
            const SlicePlan plan = SlicePlan::of(volume.geometry(), SliceAxis::Axial);
            std::vector<std::int64_t> planes = labelledPlanes(plan, labels);
            if (planes.empty()) planes = labelledPlanes(plan, nullptr);
            const double slope = image.header.slope, inter = image.header.inter;
            const ValueRange range = shownRange(volume, slope, inter);
            for (const std::int64_t tile : previewTiles(static_cast<std::int64_t>(planes.size()))) {
                const std::int64_t k = planes[static_cast<std::size_t>(tile)];
                // The plan's rows ascend to the front and its columns to the right.
                const auto voxel = [&](std::int64_t row, std::int64_t column) {
                    return plan.voxelIndex(k, plan.height - 1 - row, plan.width - 1 - column);
                };
                addPreviewTile(
                    preview, plan.height, plan.width,
                    [&](std::int64_t row, std::int64_t column) {
                        const auto value = static_cast<double>(volume.data()[voxel(row, column)]);
                        return previewByte(value * slope + inter, range);
                    },
                    [&](std::int64_t row, std::int64_t column) {
                        if (labels == nullptr) return std::uint8_t{0};
                        return labels->visit(
                            [&](const auto& map) { return labelByte(map.data()[voxel(row, column)]); });
                    });
            }
        },
        image.voxels);
    return preview;
}

}  // namespace medseg
