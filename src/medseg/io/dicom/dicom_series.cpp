#include "medseg/io/dicom/dicom_series.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/base/threads.h"
#include "medseg/io/dicom/dicom_pixels.h"
#include "medseg/io/dicom_paths.h"
#include "medseg/io/raw_voxels.h"
#include "medseg/volume/voxel_types.h"

namespace medseg::dicom {
namespace {

/// Headers of all files, in order. One unreadable file among many is an error: a slice must not go missing silently.
std::vector<DicomFile> readFiles(const std::vector<std::filesystem::path>& paths) {
    std::vector<DicomFile> files(paths.size());
    parallelForEach(0, static_cast<std::int64_t>(paths.size()), [&](std::int64_t i) {
        throwIfInterrupted();
        files[static_cast<std::size_t>(i)] = readDicomFile(paths[static_cast<std::size_t>(i)]);
    });
    return files;
}

std::string describe(const DicomSeriesSummary& series, std::size_t number) {
    return fmt::format("{}: {} {}({} images, {})", number, series.modality,
                       series.description.empty() ? "" : fmt::format("\"{}\" ", series.description), series.images,
                       series.uid);
}

std::string listed(const std::vector<Series>& all) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < all.size(); ++i) parts.push_back(describe(all[i].summary, i + 1));
    return fmt::format("{}", fmt::join(parts, "; "));
}

/// The volumes' slices, decoded; each file is opened once, files in parallel.
template <typename T>
class SliceStack {
  public:
    SliceStack(const std::vector<DicomFile>& files, const SeriesGrid& grid, bool applied)
        : files_(files), grid_(grid), applied_(applied) {}

    Volume<T> read(std::int64_t firstVolume, std::int64_t volumes) {
        const Geometry& one = grid_.geometry;
        Volume<T> result(Geometry({one.nx(), one.ny(), one.nz() * volumes}, one.affine()));
        const std::int64_t first = firstVolume * one.nz(), count = one.nz() * volumes;
        const auto slice = [&](std::int64_t k) { return grid_.slices[static_cast<std::size_t>(first + k)]; };
        std::map<std::size_t, T*> wanted;  // frame -> where it goes
        std::vector<Volume<T>> extra;      // frames that are only part of interpolated slices
        for (std::int64_t k = 0; k < count; ++k)
            if (slice(k).secondShare == 0) wanted.emplace(slice(k).first, result.slice(k).data);
        for (std::int64_t k = 0; k < count; ++k)
            if (slice(k).secondShare > 0)
                for (const std::size_t frame : {slice(k).first, slice(k).second})
                    if (!wanted.contains(frame)) {
                        extra.emplace_back(Geometry({one.nx(), one.ny(), 1}, identityAffine()));
                        wanted.emplace(frame, extra.back().data());
                    }
        decode(wanted);
        for (std::int64_t k = 0; k < count; ++k)
            if (slice(k).secondShare > 0)
                blend(wanted.at(slice(k).first), wanted.at(slice(k).second), slice(k).secondShare,
                      result.slice(k).data);
        return result;
    }

  private:
    void decode(const std::map<std::size_t, T*>& wanted) {
        std::map<std::size_t, std::vector<T*>> byFile;
        for (const auto& [frame, target] : wanted) {
            const Frame& source = grid_.frames[frame];
            auto& targets = byFile[source.file];
            targets.resize(files_[source.file].frames.size(), nullptr);
            targets[static_cast<std::size_t>(source.index)] = target;
        }
        const std::vector<std::pair<std::size_t, std::vector<T*>>> tasks(byFile.begin(), byFile.end());
        parallelForEach(0, static_cast<std::int64_t>(tasks.size()), [&](std::int64_t i) {
            const auto& [file, targets] = tasks[static_cast<std::size_t>(i)];
            decodeFrames(files_[file], applied_, targets);
        });
    }

    void blend(const T* a, const T* b, double share, T* result) const {
        const std::int64_t count = grid_.geometry.nx() * grid_.geometry.ny();
        for (std::int64_t i = 0; i < count; ++i) {
            const double value = static_cast<double>(a[i]) * (1 - share) + static_cast<double>(b[i]) * share;
            result[i] = static_cast<T>(std::is_integral_v<T> ? std::round(value) : value);
        }
    }

    const std::vector<DicomFile>& files_;
    const SeriesGrid& grid_;
    bool applied_;
};

ImageHeader headerOf(const std::vector<DicomFile>& files, const SeriesGrid& grid, const PixelScaling& scaling) {
    const DicomFile& file = files.front();
    ImageHeader header;
    header.format = "DICOM " + (file.modality.empty() ? std::string("image") : file.modality);
    header.geometry = grid.geometry;
    const Index3& size = grid.geometry.size();
    header.shape.assign(size.begin(), size.end());
    if (grid.volumes > 1) header.shape.push_back(grid.volumes);
    header.storedType =
        file.pixels.samples > 1 ? fmt::format("rgb{}", file.pixels.samples * file.pixels.bitsAllocated) : scaling.type;
    header.slope = scaling.slope;
    header.inter = scaling.inter;
    header.hasScaling = scaling.slope != 1 || scaling.inter != 0;
    const auto part = [](const char* pattern, const std::string& value) {
        return value.empty() ? std::string() : fmt::format(fmt::runtime(pattern), value);
    };
    header.notes.push_back(fmt::format("series{}{}: {} file{}, {}", part(" {}", file.series),
                                       part(" \"{}\"", file.description), files.size(), files.size() == 1 ? "" : "s",
                                       transferSyntaxName(file.transferSyntax)));
    if (scaling.applied && (file.frames.front().slope != 1 || file.frames.front().inter != 0))
        header.notes.push_back(fmt::format("rescaled: value = stored * {:.9g} + {:.9g}{}", file.frames.front().slope,
                                           file.frames.front().inter,
                                           scaling.type == "float32" ? " (differs from slice to slice)" : ""));
    if (file.pixels.photometric == "MONOCHROME1") header.notes.push_back("MONOCHROME1: low values are shown bright");
    header.notes.insert(header.notes.end(), grid.notes.begin(), grid.notes.end());
    return header;
}

}  // namespace

bool Series::isImage() const {
    return !files.front().isSegmentation() && !files.front().isStructureSet();
}

std::vector<Series> findSeries(const std::filesystem::path& folder) {
    std::map<std::string, Series> byUid;
    std::size_t others = 0;
    for (DicomFile& file : readFiles(dicomFilesIn(folder))) {
        if (file.pixels.frames == 0 && !file.isStructureSet()) {
            ++others;
            continue;
        }
        Series& series = byUid[file.series];
        series.summary.images += static_cast<std::size_t>(file.pixels.frames);
        series.files.push_back(std::move(file));
    }
    if (byUid.empty())
        throw DataError(folder.string(), others > 0
                                             ? fmt::format("its {} DICOM files hold no images", others)
                                             : std::string("is a directory without DICOM files: name a file in it"));
    std::vector<Series> all;
    for (auto& [uid, series] : byUid) {
        const DicomFile& file = series.files.front();
        series.summary = {uid, file.description, file.modality, file.seriesNumber, series.summary.images};
        all.push_back(std::move(series));
    }
    std::sort(all.begin(), all.end(), [](const Series& a, const Series& b) {
        return std::make_tuple(!a.isImage(), a.summary.number, a.summary.uid) <
               std::make_tuple(!b.isImage(), b.summary.number, b.summary.uid);
    });
    return all;
}

Series chooseSeries(std::vector<Series> all, const std::string& wanted, const std::filesystem::path& folder) {
    if (wanted.empty()) {
        const auto images = std::count_if(all.begin(), all.end(), [](const Series& s) { return s.isImage(); });
        if (all.size() == 1 || images == 1) return std::move(all.front());
        throw DataError(folder.string(), fmt::format("holds {} series: choose one with --series NUMBER or UID: {}",
                                                     all.size(), listed(all)));
    }
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(wanted.data(), wanted.data() + wanted.size(), number);
    const bool isNumber = error == std::errc() && end == wanted.data() + wanted.size();
    for (std::size_t i = 0; i < all.size(); ++i)
        if (isNumber ? i + 1 == number : all[i].summary.uid == wanted) return std::move(all[i]);
    throw DataError(folder.string(), fmt::format("has no series {}: it holds {}", wanted, listed(all)));
}

ImageHeader imageHeader(const std::vector<DicomFile>& files, const ReadOptions& options, const std::string& source) {
    const SeriesGrid grid = arrangeSeries(files, options.allowGaps, source);
    return headerOf(files, grid, chooseScaling(files.front().pixels, grid.frames));
}

StoredImage readImages(const std::vector<DicomFile>& files, const ReadOptions& options, const std::string& source) {
    for (const DicomFile& file : files) requireReadablePixels(file);
    const SeriesGrid grid = arrangeSeries(files, options.allowGaps, source);
    const PixelScaling scaling = chooseScaling(files.front().pixels, grid.frames);
    StoredImage image{headerOf(files, grid, scaling), {}};
    const int volume = options.stackVolumes ? 0 : chosenVolume(grid.volumes, options.volumeIndex, source);
    const auto read = [&]<typename T>(const T&) -> AnyVolume {
        if constexpr (sizeof(T) > 4)
            return Volume<T>();
        else
            return SliceStack<T>(files, grid, scaling.applied).read(volume, options.stackVolumes ? grid.volumes : 1);
    };
    image.voxels = std::move(*withVoxelType(scaling.type, read));
    return image;
}

}  // namespace medseg::dicom
