#include "medseg/dataset/preparation.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include <fmt/format.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/dataset/memory_budget.h"
#include "medseg/dataset/npy_stream.h"
#include "medseg/dataset/slice_manifest.h"
#include "medseg/imaging/resize2d.h"
#include "medseg/imaging/window.h"
#include "medseg/io/half_float.h"

namespace medseg {
namespace {

constexpr std::int64_t kSlicesPerChunk = 32;

/// Everything that the prepared form of a case depends on, in one string, hashed.
std::string fingerprintOf(const Dataset& dataset, const Case& item, const PrepareSettings& settings) {
    std::string text = fmt::format("{} {} {}x{} {} {} {} {}\n", kSliceCacheVersion, settings.axis,
                                   settings.imageSize[0], settings.imageSize[1], settings.window[0], settings.window[1],
                                   settings.slices, settings.everySlice);
    for (const Label& label : dataset.labels.labels()) text += label.name + '\n';
    for (const int output : dataset.outputOfValue) text += fmt::format("{} ", output);
    for (const fs::path& file : caseFiles(item)) {
        struct stat info {};
        if (::stat(file.c_str(), &info) != 0) throw DataError(file.string(), "does not exist");
        text += fmt::format("{} {} {}.{}\n", file.filename().string(), info.st_size, info.st_mtim.tv_sec,
                            info.st_mtim.tv_nsec);
    }
    return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

/// Slices to keep, ascending.
std::vector<std::int64_t> chooseSlices(const PrepareSettings& settings, const SlicePlan& plan,
                                       const LabelLayers& labels) {
    std::vector<std::uint8_t> keep(static_cast<std::size_t>(plan.count), 1);
    if (settings.slices == "labelled")
        parallelForEach(0, plan.count, [&](std::int64_t k) {
            keep[static_cast<std::size_t>(k)] =
                std::any_of(labels.layers.begin(), labels.layers.end(), [&](const LabelMap& layer) {
                    return layer.visit([&](const auto& voxels) {
                        for (std::int64_t row = 0; row < plan.height; ++row)
                            for (std::int64_t column = 0; column < plan.width; ++column)
                                if (voxels.data()[plan.voxelIndex(k, row, column)] != 0) return true;
                        return false;
                    });
                });
        });
    std::vector<std::int64_t> chosen;
    for (std::int64_t k = 0; k < plan.count; k += settings.everySlice)
        if (keep[static_cast<std::size_t>(k)] != 0) chosen.push_back(k);
    return chosen;
}

/// Computes slices in parallel, chunk by chunk, and appends them in order. make(k, target) fills one slice.
template <typename T, typename Make>
void writeSlices(NpyStream& stream, const std::vector<std::int64_t>& slices, std::int64_t pixels, const Make& make) {
    const auto count = static_cast<std::int64_t>(slices.size());
    std::vector<T> chunk(static_cast<std::size_t>(std::min(count, kSlicesPerChunk) * pixels));
    for (std::int64_t begin = 0; begin < count; begin += kSlicesPerChunk) {
        throwIfInterrupted();
        const std::int64_t end = std::min(count, begin + kSlicesPerChunk);
        parallelForEach(begin, end, [&](std::int64_t i) { make(i, chunk.data() + (i - begin) * pixels); });
        stream.append(chunk.data(), (end - begin) * pixels);
    }
}

void writeImages(const StoredImage& image, const SlicePlan& plan, const SliceFormat& format,
                 const std::vector<std::int64_t>& slices, NpyStream& stream) {
    const double slope = image.header.slope, inter = image.header.inter;
    std::visit(
        [&](const auto& volume) {
            using T = std::remove_cvref_t<decltype(volume.data()[0])>;
            writeSlices<std::uint16_t>(stream, slices, format.pixelCount(), [&](std::int64_t i, std::uint16_t* half) {
                std::vector<T> stored(static_cast<std::size_t>(plan.height * plan.width));
                plan.gather(volume.data(), slices[static_cast<std::size_t>(i)], stored.data());
                std::vector<float> plane(stored.size()), resized(static_cast<std::size_t>(format.pixelCount()));
                std::transform(stored.begin(), stored.end(), plane.begin(),
                               [=](T value) { return static_cast<float>(static_cast<double>(value) * slope + inter); });
                prepareImagePlane(format, plan, plane, resized.data());
                std::transform(resized.begin(), resized.end(), half, floatToHalf);
            });
        },
        image.voxels);
}

/// T: the stored label type. `counts` (slices x labels + 1) is added to.
template <typename T>
void writeLabels(const LabelLayers& labels, const SlicePlan& plan, const SliceFormat& format,
                 const std::vector<std::int64_t>& slices, NpyStream& stream, std::vector<std::uint32_t>& counts) {
    const std::size_t columns = format.labels.size() + 1;
    for (std::size_t layer = 0; layer < labels.layers.size(); ++layer)
        labels.layers[layer].visit([&](const auto& voxels) {
            using V = std::remove_cvref_t<decltype(voxels.data()[0])>;
            writeSlices<T>(stream, slices, format.pixelCount(), [&](std::int64_t i, T* target) {
                std::vector<V> plane(static_cast<std::size_t>(plan.height * plan.width));
                plan.gather(voxels.data(), slices[static_cast<std::size_t>(i)], plane.data());
                std::vector<V> resized(static_cast<std::size_t>(format.pixelCount()));
                resizeNearest<V>({plane.data(), plan.width, plan.height, plan.width},
                                 {resized.data(), format.width, format.height, format.width});
                std::uint32_t* count = counts.data() + static_cast<std::size_t>(i) * columns;
                for (std::size_t p = 0; p < resized.size(); ++p) {
                    target[p] = static_cast<T>(resized[p]);
                    if (resized[p] != 0 || layer == 0) ++count[resized[p]];
                }
            });
        });
}

/// Image as stored, one label layer, and what reading them takes on top.
std::uint64_t memoryOf(const ImageHeader& header) {
    return static_cast<std::uint64_t>(header.geometry.voxelCount()) * (8 + 2 + 2);
}

/// Prepares one dataset; shared by its worker threads.
class Preparation {
  public:
    Preparation(const Dataset& dataset, const PrepareSettings& settings, const fs::path& directory)
        : dataset_(dataset),
          settings_(settings),
          paths_{directory},
          format_(sliceFormatFrom(settings, dataset.labels)),
          budget_(availableMemoryShare()),
          records_(dataset.cases.size()) {}

    PreparationResult run() {
        for (const char* folder : {"images", "labels", "counts", "cases"}) createDirectories(paths_.root / folder);
        problems_ = forEachCase("prepare", dataset_.cases.size(), [this](std::size_t index) { processCase(index); });
        return finish();
    }

  private:
    void processCase(std::size_t index) {
        const Case& item = dataset_.cases[index];
        const std::string fingerprint = fingerprintOf(dataset_, item, settings_);
        if (auto record = findCaseRecord(paths_, item.id);
            record && record->fingerprint == fingerprint && filesPresent(*record)) {
            records_[index] = std::move(record);
            ++reused_;
            return;
        }
        const MemoryBudget::Share share(budget_, memoryOf(readImageHeader(item.image)));
        records_[index] = prepareCase(item, fingerprint);
        ++prepared_;
    }

    bool filesPresent(const CachedCase& record) const {
        std::error_code error;
        return record.sliceCount() == 0 ||
               (fs::exists(paths_.image(record.id), error) && fs::exists(paths_.labels(record.id), error) &&
                fs::exists(paths_.counts(record.id), error));
    }

    CachedCase prepareCase(const Case& item, const std::string& fingerprint) const {
        const StoredImage image = readCaseImage(item);
        const Geometry& geometry = geometryOf(image.voxels);
        const LabelLayers labels = readCaseLabels(dataset_, item, geometry);
        const SlicePlan plan = SlicePlan::of(geometry, format_.axis);
        CachedCase record{.id = item.id,
                          .fingerprint = fingerprint,
                          .image = item.image.string(),
                          .geometry = geometry,
                          .sourceSlices = chooseSlices(settings_, plan, labels),
                          .layers = static_cast<int>(labels.layers.size())};
        if (record.sliceCount() > 0) writeArrays(image, labels, plan, record);
        writeCaseRecord(paths_, record);
        return record;
    }

    void writeArrays(const StoredImage& image, const LabelLayers& labels, const SlicePlan& plan,
                     const CachedCase& record) const {
        const std::int64_t slices = record.sliceCount(), columns = static_cast<std::int64_t>(format_.labels.size()) + 1;
        const bool bytes = format_.labelBytes() == 1;
        NpyStream images(paths_.image(record.id), NpyType::F16, {slices, format_.height, format_.width});
        writeImages(image, plan, format_, record.sourceSlices, images);
        NpyStream labelStream(paths_.labels(record.id), bytes ? NpyType::U8 : NpyType::U16,
                              {record.layers, slices, format_.height, format_.width});
        std::vector<std::uint32_t> counts(static_cast<std::size_t>(slices * columns), 0);
        if (bytes)
            writeLabels<std::uint8_t>(labels, plan, format_, record.sourceSlices, labelStream, counts);
        else
            writeLabels<std::uint16_t>(labels, plan, format_, record.sourceSlices, labelStream, counts);
        NpyStream countStream(paths_.counts(record.id), NpyType::U32, {slices, columns});
        countStream.append(counts.data(), slices * columns);
        // What an earlier preparation recorded must not vouch for a mixture of old and new files.
        std::error_code ignored;
        fs::remove(paths_.manifest(), ignored);
        fs::remove(paths_.caseRecord(record.id), ignored);
        images.commit();
        labelStream.commit();
        countStream.commit();
    }

    PreparationResult finish() {
        PreparationResult result{.prepared = prepared_, .reused = reused_, .slices = 0, .failures = {}};
        SliceManifest manifest{.format = format_, .cases = {}};
        for (std::size_t i = 0; i < records_.size(); ++i) {
            if (!problems_[i].empty()) result.failures.push_back({dataset_.cases[i].id, problems_[i]});
            if (!records_[i]) continue;
            if (records_[i]->sliceCount() == 0) {
                logWarning("{}: no slice holds a label; the case is left out", dataset_.cases[i].id);
                continue;
            }
            result.slices += records_[i]->sliceCount();
            manifest.cases.push_back(std::move(*records_[i]));
        }
        if (manifest.cases.empty()) {
            if (!result.failures.empty()) throw DataError(result.failures.front().message);
            throw DataError(dataset_.root.string(), "no slice of any case holds one of the labels");
        }
        writeSliceManifest(paths_, manifest);
        return result;
    }

    const Dataset& dataset_;
    const PrepareSettings& settings_;
    SliceCachePaths paths_;
    SliceFormat format_;
    MemoryBudget budget_;
    std::vector<std::optional<CachedCase>> records_;
    std::vector<std::string> problems_;
    std::atomic<int> prepared_{0}, reused_{0};
};

}  // namespace

SliceFormat sliceFormatFrom(const PrepareSettings& settings, const LabelTable& labels) {
    return {.axis = sliceAxisFromName(settings.axis),
            .height = settings.imageSize[0],
            .width = settings.imageSize[1],
            .window = settings.window,
            .labels = labels};
}

PreparationResult prepareSlices(const Dataset& dataset, const PrepareSettings& settings, const fs::path& directory) {
    if (!(settings.window[0] < settings.window[1]))
        throw UsageError(fmt::format("prepare.window [{}, {}]: the first value must be below the second",
                                     settings.window[0], settings.window[1]));
    return Preparation(dataset, settings, directory).run();
}

void prepareImagePlane(const SliceFormat& format, const SlicePlan& plan, std::vector<float>& plane, float* out) {
    scaleToUnit<float>(plane, format.window[0], format.window[1], plane);
    resizeBilinear<float>({plane.data(), plan.width, plan.height, plan.width},
                          {out, format.width, format.height, format.width});
}

}  // namespace medseg
