// medseg info: what is in an image, label or array file.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_summary.h"
#include "medseg/io/npy_summary.h"
#include "reading_options.h"

namespace medseg::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kHelp =
    R"(Describe images, label maps and arrays: NIfTI, NRRD, MetaImage, DICOM (a file, or the folder of a series), npy,
npz, PNG.

--json prints one object for each file, one per line:
  path, format, size [x,y,z], shape (all dimensions), spacing (mm), affine (4x4 rows, RAS+ mm), orientation,
  dtype (as stored), slope, inter, min, max, mean (finite values after slope and inter), nonfinite (number of
  NaN and infinite voxels), and labels [{id, name, voxels, volume_ml}] for label maps. Statistics without any
  finite value, and those of colour images, are null. notes, where there are any, is a list of remarks: the DICOM
  series, gantry tilt.
A label map is an integer file without scaling, values 0..65535, that carries label names, or holds at most 64
distinct values, or at most 256 in regions (half of the neighbours along x are equal).
An npz prints its arrays: name, shape, dtype, min, max, mean.
Of a folder with several DICOM series one is chosen with --series, or named like a sub-folder: STUDY/2.

Example: medseg info ct.nii.gz --json)";

struct Options {
    std::vector<std::string> files;
    bool json = false;
    int volume = -1;
    ReadOptions reading;
};

/// JSON has no NaN: null instead.
ordered_json number(double value) {
    return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
}

void addStatistics(ordered_json& object, const ValueStatistics& statistics) {
    const bool any = statistics.finiteCount > 0;
    object["min"] = any ? number(statistics.min) : nullptr;
    object["max"] = any ? number(statistics.max) : nullptr;
    object["mean"] = any ? number(statistics.mean) : nullptr;
    object["nonfinite"] = statistics.nonFiniteCount;
}

ordered_json headerJson(const std::string& path, const ImageHeader& header) {
    const Geometry& geometry = header.geometry;
    ordered_json object{{"path", path},
                        {"format", header.format},
                        {"size", geometry.size()},
                        {"shape", header.shape},
                        {"spacing", geometry.spacing()},
                        {"affine", geometry.affine()},
                        {"orientation", geometry.orientation()},
                        {"dtype", header.storedType},
                        {"slope", header.slope},
                        {"inter", header.inter}};
    if (!header.notes.empty()) object["notes"] = header.notes;
    return object;
}

ordered_json imageJson(const std::string& path, const ImageSummary& summary) {
    ordered_json object = headerJson(path, summary.header);
    addStatistics(object, summary.statistics);
    if (summary.labels.empty()) return object;
    ordered_json labels = ordered_json::array();
    for (const LabelSummary& label : summary.labels)
        labels.push_back(
            {{"id", label.id}, {"name", label.name}, {"voxels", label.voxels}, {"volume_ml", label.millilitres}});
    object["labels"] = std::move(labels);
    return object;
}

void printHeader(const std::string& path, const ImageHeader& header) {
    const Vec3 spacing = header.geometry.spacing();
    fmt::print("{}\n  format       {}\n  size         {}\n", path, header.format, formatSize(header.geometry.size()));
    if (header.shape.size() > 3) fmt::print("  shape        {}\n", fmt::join(header.shape, " x "));
    fmt::print("  spacing      {:.6g} x {:.6g} x {:.6g} mm\n  orientation  {}\n", spacing[0], spacing[1], spacing[2],
               header.geometry.orientation());
    fmt::print("  type         {}\n", header.storedType);
    if (header.hasScaling) fmt::print("  scaling      value = stored * {:.9g} + {:.9g}\n", header.slope, header.inter);
    const char* title = "affine (RAS+)";
    for (std::size_t row = 0; row < 3; ++row) {
        const auto& a = header.geometry.affine()[row];
        fmt::print("  {:<13}{:>11.5g} {:>11.5g} {:>11.5g} {:>11.5g}\n", title, a[0], a[1], a[2], a[3]);
        title = "";
    }
    title = "notes";
    for (const std::string& note : header.notes) {
        fmt::print("  {:<12} {}\n", title, note);
        title = "";
    }
}

void printStatistics(const ValueStatistics& statistics) {
    if (statistics.finiteCount > 0)
        fmt::print("  values       {:.7g} to {:.7g}, mean {:.7g}\n", statistics.min, statistics.max, statistics.mean);
    if (statistics.nonFiniteCount > 0) fmt::print("  not finite   {} voxels\n", statistics.nonFiniteCount);
}

void printImage(const std::string& path, const ImageSummary& summary) {
    printHeader(path, summary.header);
    printStatistics(summary.statistics);
    if (summary.labels.empty()) return;
    fmt::print("  labels       {:>5}  {:<28} {:>12} {:>12}\n", "id", "name", "voxels", "ml");
    for (const LabelSummary& label : summary.labels)
        fmt::print("               {:>5}  {:<28} {:>12} {:>12.3f}\n", label.id, label.name, label.voxels,
                   label.millilitres);
}

/// Header facts come out even when the voxels (RGB, damaged data) are an error afterwards.
void describeImage(const std::string& path, const Options& options) {
    ReadOptions reading = options.reading;
    if (options.volume >= 0) reading.volumeIndex = options.volume;
    const ImageHeader header = readImageHeader(path, reading);
    std::optional<ImageSummary> summary;
    std::optional<DataError> problem;
    try {
        summary = summarizeImage(path, reading);
    } catch (const DataError& error) {
        if (!header.storedType.starts_with("rgb") && !header.storedType.starts_with("complex")) throw;
        problem = error;
    }
    if (options.json) {
        ordered_json object = summary ? imageJson(path, *summary) : headerJson(path, header);
        if (!summary) object["min"] = object["max"] = object["mean"] = nullptr;
        fmt::print("{}\n", object.dump());
    } else if (summary) {
        printImage(path, *summary);
    } else {
        printHeader(path, header);
    }
    if (problem) throw *problem;
}

ordered_json arrayJson(const ArraySummary& array) {
    ordered_json object{{"name", array.name}, {"shape", array.shape}, {"dtype", array.typeName}};
    if (!array.text.empty())
        object["text"] = array.text;
    else if (array.problem.empty())
        addStatistics(object, array.statistics);
    else
        object["error"] = array.problem;
    return object;
}

void describeArchive(const std::string& path, const Options& options) {
    const std::vector<ArraySummary> arrays = summarizeArrays(path);
    if (options.json) {
        ordered_json object{{"path", path}, {"format", "npz"}, {"arrays", ordered_json::array()}};
        for (const ArraySummary& array : arrays) object["arrays"].push_back(arrayJson(array));
        fmt::print("{}\n", object.dump());
    } else {
        fmt::print("{}\n  format       npz, {} arrays\n", path, arrays.size());
        for (const ArraySummary& array : arrays) {
            fmt::print("  {:<12} {} ({})", array.name, array.typeName, fmt::join(array.shape, ", "));
            if (array.problem.empty() && array.statistics.finiteCount > 0)
                fmt::print(", {:.7g} to {:.7g}, mean {:.7g}", array.statistics.min, array.statistics.max,
                           array.statistics.mean);
            fmt::print("{}{}\n", array.text.empty() ? "" : ", ", array.text);
        }
    }
    for (const ArraySummary& array : arrays)
        if (!array.problem.empty()) throw DataError(array.problem);
}

int runInfo(const Options& options) {
    for (const std::string& path : options.files) {
        if (isArrayArchive(path))
            describeArchive(path, options);
        else
            describeImage(path, options);
        std::fflush(stdout);
    }
    return 0;
}

std::function<int()> declareInfo(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    app.description(kHelp);
    app.add_option("files", options->files, "Files, or folders with a DICOM series")->required()->type_name("FILE");
    app.add_flag("--json", options->json, "One JSON object for each file, on one line");
    app.add_option("--volume", options->volume, "Statistics of this volume of a 4D file, counted from 0; -1 = of all")
        ->type_name("N");
    declareReading(app, options->reading);
    return [options] { return runInfo(*options); };
}

MEDSEG_COMMAND(info, "Describe an image, label or array file", declareInfo);

}  // namespace
}  // namespace medseg::cli
