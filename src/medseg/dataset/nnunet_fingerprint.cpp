// The fingerprint of nnU-Net's raw datasets.
#include <algorithm>
#include <cmath>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/memory_budget.h"
#include "medseg/dataset/nnunet_dataset.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

constexpr std::int64_t kForegroundSamples = 10'000'000;

/// numpy.percentile of ascending values.
double percentile(const std::vector<float>& sorted, double percent) {
    const double position = percent / 100 * static_cast<double>(sorted.size() - 1);
    const auto low = static_cast<std::size_t>(position);
    const std::size_t high = std::min(low + 1, sorted.size() - 1);
    const double part = position - static_cast<double>(low);
    return static_cast<double>(sorted[low]) * (1 - part) + static_cast<double>(sorted[high]) * part;
}

/// Box of the voxels that are not zero in any channel, as a size; the whole volume when there are none.
Index3 croppedSize(const std::vector<Volume<float>>& channels) {
    const Index3 size = channels.front().size();
    Index3 low = size, high{-1, -1, -1};
    for (const Volume<float>& channel : channels) {
        const float* value = channel.data();
        for (std::int64_t z = 0; z < size[2]; ++z)
            for (std::int64_t y = 0; y < size[1]; ++y)
                for (std::int64_t x = 0; x < size[0]; ++x)
                    if (*value++ != 0) {
                        const Index3 at{x, y, z};
                        for (std::size_t axis = 0; axis < 3; ++axis) {
                            low[axis] = std::min(low[axis], at[axis]);
                            high[axis] = std::max(high[axis], at[axis]);
                        }
                    }
    }
    if (high[0] < 0) return size;
    return {high[0] - low[0] + 1, high[1] - low[1] + 1, high[2] - low[2] + 1};
}

struct CaseFigures {
    Vec3 spacing{};
    Index3 shape{};
    double relativeSize = 1;
    std::vector<std::vector<float>> samples;  ///< per channel
};

CaseFigures figuresOf(const NnunetCase& item, std::int64_t limit) {
    throwIfInterrupted();
    std::vector<Volume<float>> channels;
    for (const fs::path& file : item.channels) channels.push_back(readImage(file));
    const LabelMap labels = readLabelMap(item.label);
    const Geometry& grid = channels.front().geometry();
    for (std::size_t channel = 1; channel < channels.size(); ++channel)
        requireSameGeometry(channels[channel].geometry(), item.channels[channel].string(), grid,
                            item.channels.front().string());
    requireSameGeometry(labels.geometry(), item.label.string(), grid, item.channels.front().string());
    const Index3 crop = croppedSize(channels);
    const Vec3 spacing = grid.spacing();
    CaseFigures figures{
        .spacing = {spacing[2], spacing[1], spacing[0]},
        .shape = {crop[2], crop[1], crop[0]},
        .relativeSize = static_cast<double>(crop[0] * crop[1] * crop[2]) / static_cast<double>(grid.voxelCount()),
        .samples = std::vector<std::vector<float>>(channels.size())};
    labels.visit([&](const auto& voxels) {
        const std::int64_t count =
            voxels.voxelCount() - std::count(voxels.data(), voxels.data() + voxels.voxelCount(), 0);
        const std::int64_t step = std::max<std::int64_t>(1, (count + limit - 1) / limit);
        std::int64_t seen = 0;
        for (std::int64_t i = 0; i < voxels.voxelCount(); ++i) {
            if (voxels.data()[i] == 0 || seen++ % step != 0) continue;
            for (std::size_t channel = 0; channel < channels.size(); ++channel)
                figures.samples[channel].push_back(channels[channel].data()[i]);
        }
    });
    return figures;
}

}  // namespace

ForegroundStatistics foregroundStatistics(std::vector<float> values) {
    if (values.empty()) return {};
    std::sort(values.begin(), values.end());
    const auto count = static_cast<double>(values.size());
    double sum = 0, squares = 0;
    for (const float value : values) sum += value;
    const double mean = sum / count;
    for (const float value : values) squares += (value - mean) * (value - mean);
    return {.max = values.back(),
            .mean = mean,
            .median = percentile(values, 50),
            .min = values.front(),
            .percentile005 = percentile(values, 0.5),
            .percentile995 = percentile(values, 99.5),
            .std = std::sqrt(squares / count)};
}

NnunetFingerprint nnunetFingerprint(const fs::path& root, std::uint64_t memory) {
    const NnunetDescription description = readNnunetDescription(root / "dataset.json");
    const std::vector<NnunetCase> cases = findNnunetCases(root, description);
    if (cases.empty()) throw DataError((root / "imagesTr").string(), "holds no cases");
    const auto count = static_cast<std::int64_t>(cases.size());
    const std::int64_t limit = std::max<std::int64_t>(1, kForegroundSamples / count);
    std::vector<CaseFigures> figures(cases.size());
    MemoryBudget budget(memory);
    const auto problems = forEachCase("fingerprint", cases.size(), [&](std::size_t i) {
        const MemoryBudget::Share share(budget, nnunetCaseMemory(cases[i], cases[i].channels.size()));
        figures[i] = figuresOf(cases[i], limit);
    });
    for (const std::string& problem : problems)
        if (!problem.empty()) throw DataError(problem);
    NnunetFingerprint fingerprint;
    std::vector<float> relative;
    for (const CaseFigures& figure : figures) {
        fingerprint.spacings.push_back(figure.spacing);
        fingerprint.shapesAfterCrop.push_back(figure.shape);
        relative.push_back(static_cast<float>(figure.relativeSize));
    }
    fingerprint.medianRelativeSize = foregroundStatistics(relative).median;
    for (std::size_t channel = 0; channel < description.channels.size(); ++channel) {
        std::vector<float> values;
        for (CaseFigures& figure : figures) {
            values.insert(values.end(), figure.samples[channel].begin(), figure.samples[channel].end());
            figure.samples[channel] = {};
        }
        fingerprint.channels.push_back(foregroundStatistics(std::move(values)));
    }
    return fingerprint;
}

nlohmann::ordered_json toJson(const NnunetFingerprint& fingerprint) {
    nlohmann::ordered_json json;
    for (std::size_t channel = 0; channel < fingerprint.channels.size(); ++channel) {
        const ForegroundStatistics& figures = fingerprint.channels[channel];
        json["foreground_intensities_per_channel"][std::to_string(channel)] = {
            {"max", figures.max},
            {"mean", figures.mean},
            {"median", figures.median},
            {"min", figures.min},
            {"percentile_00_5", figures.percentile005},
            {"percentile_99_5", figures.percentile995},
            {"std", figures.std}};
    }
    json["median_relative_size_after_cropping"] = fingerprint.medianRelativeSize;
    json["shapes_after_crop"] = fingerprint.shapesAfterCrop;
    json["spacings"] = fingerprint.spacings;
    return json;
}

}  // namespace medseg
