// medseg convert: between file formats, orientations, spacings and voxel types.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/imaging/resample.h"
#include "medseg/imaging/voxel_type.h"
#include "medseg/io/image_summary.h"
#include "medseg/volume/orientation.h"
#include "reading_options.h"

namespace medseg::cli {
namespace {

constexpr const char* kHelp =
    R"(Convert an image or label map: NIfTI (.nii, .nii.gz, .hdr, .img), NRRD (.nrrd, .nhdr, .seg.nrrd), MetaImage
(.mha, .mhd), npy, npz, PNG (one slice). DICOM is read: IN is a file, or the folder of a series.

Steps in this order: choose a volume, reorient, resample, change the type. Voxels keep their place in the patient.
Without --dtype the stored type stays; a file with slope and intercept becomes float32 with both applied.
Label names are kept from and to NIfTI and .seg.nrrd files.

Examples: medseg convert ct.nii.gz ct_ras.nii.gz --reorient RAS --resample 1.5
          medseg convert study ct.nii.gz --series 2
          medseg convert seg.dcm masks --separate --reference study)";

struct Options {
    std::string input, output;
    std::string orientation;
    std::vector<double> spacing;
    std::string type;
    std::string interpolation;
    int volume = -1;
    int level = 1;
    bool separate = false;
    std::string ending = ".nii.gz";
    ReadOptions reading;
};

Vec3 spacingFrom(const std::vector<double>& values) {
    if (values.size() == 1) return {values[0], values[0], values[0]};
    if (values.size() == 3) return {values[0], values[1], values[2]};
    throw UsageError(fmt::format("--resample takes one spacing or three (x,y,z) in mm, not {}", values.size()));
}

template <typename T>
AnyVolume resampledAs(const AnyVolume& voxels, const Geometry& grid, Interpolation interpolation) {
    return resampleTo(std::get<Volume<T>>(voxels), grid, interpolation, 0);
}

/// On the new grid in the same type; 64-bit integers go by way of double.
AnyVolume resampled(const AnyVolume& voxels, const Vec3& spacing, Interpolation interpolation) {
    const Geometry grid = withSpacing(geometryOf(voxels), spacing);
    return std::visit(
        [&]<typename T>(const Volume<T>& volume) -> AnyVolume {
            if constexpr (std::is_integral_v<T> && sizeof(T) == 8) {
                const AnyVolume wide = convertVoxelType(voxels, "float64");
                return convertVoxelType(resampledAs<double>(wide, grid, interpolation), voxelTypeName(voxels));
            } else {
                return resampleTo(volume, grid, interpolation, 0);
            }
        },
        voxels);
}

AnyVolume convertedType(const AnyVolume& voxels, const std::string& type, const ImageHeader& header,
                        const std::string& name) {
    std::int64_t clamped = 0;
    AnyVolume result = convertVoxelType(voxels, type, header.slope, header.inter, &clamped);
    if (clamped > 0) logWarning("{}: {} voxels do not fit {} and were clamped", name, clamped, type);
    return result;
}

void write(const Options& options, AnyVolume voxels, const LabelTable& labels) {
    const WriteOptions how{options.level};
    if (labels.empty() || voxelTypeName(voxels).starts_with("float")) return writeImage(options.output, voxels, how);
    writeLabelMap(options.output, LabelMap::fromAny(voxels, labels, options.input), how);
}

/// The steps between reading and writing.
AnyVolume processed(const Options& options, AnyVolume voxels, const ImageHeader& header, bool isLabelMap) {
    if (!options.orientation.empty()) {
        const AxisTurn turn = turnTowards(geometryOf(voxels), options.orientation);
        if (!turn.isIdentity()) voxels = turned(voxels, turn);
    }
    std::string type = options.type;
    if (type.empty() && header.hasScaling) type = "float32";
    if (!options.spacing.empty()) {
        const std::string name = !options.interpolation.empty() ? options.interpolation
                                 : isLabelMap                   ? "nearest"
                                                                : "linear";
        const Vec3 spacing = spacingFrom(options.spacing);
        // Interpolated values need not be rounded before scaling or a change of type.
        if (!type.empty()) voxels = convertVoxelType(voxels, "float64");
        voxels = resampled(voxels, spacing, interpolationFromName(name));
    }
    if (!type.empty()) voxels = convertedType(voxels, type, header, options.output);
    return voxels;
}

ReadOptions readingOf(const Options& options) {
    ReadOptions reading = options.reading;
    if (options.volume >= 0) reading.volumeIndex = options.volume;
    return reading;
}

int runConvert(const Options& options) {
    requireImageName(options.output);  // before long work
    StoredImage image = readStoredImage(options.input, readingOf(options));
    const bool isLabelMap = looksLikeLabelMap(image.header, image.voxels);
    AnyVolume voxels = processed(options, std::move(image.voxels), image.header, isLabelMap);
    write(options, std::move(voxels), image.header.labels);
    logInfo("{}: {}", options.output, readImageHeader(options.output).geometry.describe());
    return 0;
}

/// The name as that of a file: no separators, control characters or dots in front.
std::string fileNameOf(const std::string& name) {
    std::string result = name;
    for (char& c : result)
        if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < ' ') c = '_';
    if (result.empty() || result.front() == '.') result.insert(result.begin(), '_');
    return result;
}

AnyVolume maskOf(const LabelMap& labels, int id) {
    Volume<std::uint8_t> mask(labels.geometry());
    labels.visit([&](const auto& voxels) {
        std::transform(voxels.data(), voxels.data() + voxels.voxelCount(), mask.data(),
                       [id](auto value) { return static_cast<std::uint8_t>(value == id); });
    });
    return mask;
}

/// Labels by id: those that the file names, else those that occur.
std::vector<Label> labelsToSeparate(const ImageHeader& header, const std::optional<LabelMap>& map) {
    if (!header.labels.empty() || !map) return header.labels.labels();
    std::vector<Label> labels;
    const std::vector<std::int64_t> counts = map->countVoxels();
    for (std::size_t id = 1; id < counts.size(); ++id)
        if (counts[id] > 0) labels.push_back({static_cast<int>(id), fmt::format("label_{}", id), {}});
    return labels;
}

/// One 0/1 file a structure. Structures of DICOM files may overlap, so that each is read by itself.
int runSeparate(const Options& options) {
    const std::filesystem::path folder = options.output;
    requireImageName("mask" + options.ending);
    if (std::filesystem::is_regular_file(folder))
        throw UsageError(fmt::format("{}: is a file: --separate writes into a folder", options.output));
    const ReadOptions reading = readingOf(options);
    const ImageHeader header = readImageHeader(options.input, reading);
    const bool oneByOne = header.format.starts_with("DICOM");
    std::optional<LabelMap> map;
    if (!oneByOne) map = readLabelMap(options.input, reading);
    const std::vector<Label> labels = labelsToSeparate(header, map);
    if (labels.empty()) throw DataError(options.input, "holds no labels to separate");
    createDirectories(folder);
    std::set<std::string> names;
    for (const Label& label : labels) {
        std::string name = fileNameOf(label.name);
        if (!names.insert(name).second) name = fmt::format("{}_{}", name, label.id);
        if (oneByOne) {
            ReadOptions one = reading;
            one.segments = {std::to_string(label.id)};
            map = readLabelMap(options.input, one);
        }
        const AnyVolume mask = processed(options, maskOf(*map, label.id), ImageHeader{}, true);
        writeImage(folder / (name + options.ending), mask, {options.level});
    }
    logInfo("{}: {} structures", options.output, labels.size());
    return 0;
}

std::function<int()> declareConvert(CLI::App& app) {
    const auto options = std::make_shared<Options>();
    app.description(kHelp);
    app.add_option("input", options->input, "File to read, or folder with a DICOM series")->required()->type_name("IN");
    app.add_option("output", options->output, "File to write; its ending chooses the format")
        ->required()
        ->type_name("OUT");
    app.add_option("--reorient", options->orientation, "Axis directions: one letter each of R/L, A/P, S/I, e.g. RAS")
        ->type_name("CODES");
    app.add_option("--resample", options->spacing, "New voxel spacing in mm: one number or x,y,z (after reorienting)")
        ->delimiter(',')
        ->type_name("MM");
    app.add_option("--interpolation", options->interpolation,
                   "nearest, linear or cubic; default: nearest for label maps (see medseg info), else linear")
        ->type_name("NAME");
    app.add_option("--dtype", options->type, "Voxel type to write: uint8 ... int64, float32, float64")
        ->type_name("TYPE");
    app.add_option("--volume", options->volume, "Volume of a 4D file, counted from 0; -1 = the file must hold one")
        ->type_name("N");
    app.add_option("--level", options->level, "Compression of .gz, NRRD and MetaImage: 1 (fast) to 12 (small)")
        ->check(CLI::Range(1, 12))
        ->type_name("N");
    app.add_flag("--separate", options->separate,
                 "OUT is a folder: one file a structure, NAME.nii.gz, 0 outside and 1 inside; structures may overlap");
    app.add_option("--ending", options->ending, "With --separate: ending of the files (default .nii.gz)")
        ->type_name("TEXT");
    declareReading(app, options->reading);
    return [options] { return options->separate ? runSeparate(*options) : runConvert(*options); };
}

MEDSEG_COMMAND(convert, "Convert between formats, orientations, spacings and types", declareConvert);

}  // namespace
}  // namespace medseg::cli
