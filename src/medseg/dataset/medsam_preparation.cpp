#include "medseg/dataset/medsam_preparation.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <type_traits>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/case_preview.h"
#include "medseg/dataset/medsam_slices.h"
#include "medseg/io/npy.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kWorkingBytes = std::uint64_t{64} << 20;

Volume<std::uint8_t> asBytes(LabelMap labels, const fs::path& path) {
    return labels.visit([&](auto& voxels) -> Volume<std::uint8_t> {
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(voxels)>, Volume<std::uint8_t>>)
            return std::move(voxels);
        else
            throw DataError(path.string(),
                            fmt::format("label {} is above 255, the largest that MedSAM's files hold",
                                        *std::max_element(voxels.data(), voxels.data() + voxels.voxelCount())));
    });
}

Volume<std::uint8_t> readByteLabels(const fs::path& path) {
    StoredImage stored = readStoredImage(path);
    if (auto* bytes = std::get_if<Volume<std::uint8_t>>(&stored.voxels); bytes != nullptr && !stored.header.hasScaling)
        return std::move(*bytes);
    if (stored.header.hasScaling)
        stored.voxels = scaledToFloat(stored.voxels, stored.header.slope, stored.header.inter);
    return asBytes(LabelMap::fromAny(stored.voxels, {}, path.string()), path);
}

/// Grid of `slices` of `geometry`, put one behind the other.
Geometry geometryOfSlices(const Geometry& geometry, const std::vector<std::int64_t>& slices) {
    Affine affine = geometry.affine();
    const Vec3 origin = geometry.voxelToWorld({0, 0, static_cast<double>(slices.front())});
    for (std::size_t row = 0; row < 3; ++row) affine[row][3] = origin[row];
    return {{geometry.nx(), geometry.ny(), static_cast<std::int64_t>(slices.size())}, affine};
}

Volume<std::uint8_t> keepSlices(Volume<std::uint8_t> labels, const std::vector<std::int64_t>& slices) {
    if (static_cast<std::int64_t>(slices.size()) == labels.nz()) return labels;
    Volume<std::uint8_t> kept(geometryOfSlices(labels.geometry(), slices));
    const std::int64_t pixels = labels.nx() * labels.ny();
    for (std::size_t i = 0; i < slices.size(); ++i)
        std::copy_n(labels.data() + slices[i] * pixels, pixels, kept.data() + static_cast<std::int64_t>(i) * pixels);
    return kept;
}

/// Adds the voxels of each label in a slice to `counts`; most of a slice is background, which is skipped in words.
void countSlice(const std::uint8_t* voxels, std::int64_t count, std::array<std::int64_t, 256>& counts) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, voxels + i, sizeof(word));
        if (word == 0) continue;
        const std::uint64_t first = (word & 0xff) * 0x0101010101010101ULL;
        if (word == first) {
            counts[voxels[i]] += 8;
            continue;
        }
        for (int byte = 0; byte < 8; ++byte) ++counts[voxels[i + byte]];
    }
    for (; i < count; ++i) ++counts[voxels[i]];
}

std::map<int, std::int64_t> countLabels(const Volume<std::uint8_t>& labels) {
    if (labels.empty()) return {};
    std::vector<std::array<std::int64_t, 256>> counts(static_cast<std::size_t>(labels.nz()));
    const std::int64_t pixels = labels.nx() * labels.ny();
    parallelFor(0, labels.nz(), 8, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t z = first; z < last; ++z)
            countSlice(labels.data() + z * pixels, pixels, counts[static_cast<std::size_t>(z)]);
    });
    std::map<int, std::int64_t> present;
    for (std::size_t label = 1; label < 256; ++label) {
        std::int64_t sum = 0;
        for (const auto& slice : counts) sum += slice[label];
        if (sum > 0) present[static_cast<int>(label)] = sum;
    }
    return present;
}

/// Slices as they lie in the files.
CasePreview previewOf(const MedsamCase& prepared) {
    CasePreview preview;
    for (const std::int64_t z : previewTiles(prepared.images.nz())) {
        const auto byteOf = [z](const Volume<std::uint8_t>& volume) {
            return [&volume, z](std::int64_t row, std::int64_t column) { return volume(column, row, z); };
        };
        addPreviewTile(preview, prepared.images.ny(), prepared.images.nx(), byteOf(prepared.images),
                       byteOf(prepared.labels));
    }
    return preview;
}

Json describe(const MedsamCase& prepared) {
    Json labels = Json::object();
    for (const auto& [label, voxels] : countLabels(prepared.labels)) labels[std::to_string(label)] = voxels;
    return {{"size", prepared.size},
            {"spacing", prepared.spacing},
            {"clip", {prepared.scale.clipLow, prepared.scale.clipHigh}},
            {"range", {prepared.scale.scaleLow, prepared.scale.scaleHigh}},
            {"slices", prepared.slices},
            {"labels", labels}};
}

Json parametersOf(const MedsamSettings& settings, const LabelReader& reader) {
    Json json{{"modality", settings.modality}, {"anatomy", settings.anatomy}};
    if (settings.image.modality == Modality::Ct) {
        json["window_level"] = settings.image.window.level;
        json["window_width"] = settings.image.window.width;
    } else {
        json["percentiles"] = settings.image.percents;
    }
    const MedsamLabelRules& rules = settings.labels;
    json["remove_labels"] = rules.removeLabels;
    json["tumor_label"] = rules.tumorLabel ? Json(*rules.tumorLabel) : Json(nullptr);
    json["tumor_offset"] = rules.tumorOffset;
    json["dust_3d"] = rules.dust3d;
    json["dust_2d"] = rules.dust2d;
    json["connectivity_3d"] = static_cast<int>(rules.connectivity3d);
    json["connectivity_2d"] = static_cast<int>(rules.connectivity2d);
    for (const Label& label : reader.structures().labels()) json["structures"].push_back(label.name);
    json["save_nii"] = settings.saveNii;
    json["npy"] = settings.npy;
    if (settings.npy) json["image_size"] = settings.imageSize;
    return json;
}

std::uint64_t memoryOf(const PipelineCase& item, const MedsamSettings& settings, const LabelReader& reader) {
    const ImageHeader image = readImageHeader(item.inputs.at(0));
    // Image and labels as stored, labels and image as bytes, and what slope and inter make of other modalities.
    const bool copies = settings.image.modality != Modality::Ct && image.hasScaling;
    const std::uint64_t each =
        voxelTypeSize(image.storedType) + reader.voxelBytes(item.inputs.at(1)) + 2 + (copies ? 8 : 0);
    return static_cast<std::uint64_t>(image.geometry.voxelCount()) * each + kWorkingBytes;
}

CaseSummary writeCase(const PipelineCase& item, const MedsamSettings& settings, const LabelReader& reader,
                      const fs::path& folder) {
    MedsamCase prepared = prepareMedsamCase(item.inputs.at(0), item.inputs.at(1), settings, reader);
    CaseSummary summary;
    if (prepared.overlapping > 0) summary.warning = overlapWarning(prepared.overlapping);
    if (prepared.wrappedTumors > 0)
        summary.warning = fmt::format("{} tumours have labels above 255, which wrap around", prepared.wrappedTumors);
    summary.values = describe(prepared);
    if (prepared.empty()) {
        summary.warning = "no label is left after removal and cleaning: nothing is written for this case";
        return summary;
    }
    const bool training = item.parameters.at("train").get<bool>();
    const fs::path volumes = folder / medsamVolumeFolder(settings, training);
    createDirectories(volumes);
    writeMedsamNpz(volumes / (item.id + ".npz"), prepared);
    if (settings.npy && training)
        writeMedsamSlices(prepared.images, prepared.labels,
                          settings.form == "medsam2" ? MedsamSliceStyle::Bytes : MedsamSliceStyle::Float,
                          settings.imageSize, folder / "npy", item.id);
    summary.preview = previewOf(prepared);
    if (settings.saveNii) {
        writeImage(volumes / (item.id + "_img.nii.gz"), AnyVolume(std::move(prepared.images)));
        writeImage(volumes / (item.id + "_gt.nii.gz"), AnyVolume(std::move(prepared.labels)));
    }
    return summary;
}

}  // namespace

MedsamSettings medsamDefaults(const std::string& form) {
    MedsamSettings settings;
    settings.form = form;
    if (form == "medsam") {
        settings.imageSize = {1024, 1024};
    } else if (form == "medsam2") {
        settings.imageSize = {256, 256};
    } else if (form == "litemedsam") {
        settings.labels.dust3d = 100;
        settings.labels.dust2d = 10;
        settings.labels.tumorOffset = 0;
    } else {
        throw UsageError(fmt::format("form \"{}\": use medsam, medsam2 or litemedsam", form));
    }
    return settings;
}

void checkMedsamSettings(const MedsamSettings& settings) {
    if (settings.npy && settings.form == "litemedsam")
        throw UsageError("--npy: LiteMedSAM trains on the .npz files; slices are written for medsam and medsam2");
    if (settings.npy && (settings.imageSize[0] < 1 || settings.imageSize[1] < 1 || settings.imageSize[0] > 8192 ||
                         settings.imageSize[1] > 8192))
        throw UsageError(fmt::format("image size {}x{}: use 1 to 8192", settings.imageSize[0], settings.imageSize[1]));
    if (!(settings.image.window.width > 0))
        throw UsageError(fmt::format("window width {} must be positive", settings.image.window.width));
    for (const std::string& part : {settings.modality, settings.anatomy})
        if (part.find('/') != std::string::npos)
            throw UsageError(fmt::format("\"{}\" becomes part of file names and may not hold \"/\"", part));
    if (settings.modality.empty()) throw UsageError("the modality may not be empty: use CT, MR or another name");
    const auto inBytes = [](int label) { return label >= 1 && label <= 255; };
    for (const int label : settings.labels.removeLabels)
        if (!inBytes(label)) throw UsageError(fmt::format("label {} to remove: labels are 1 to 255", label));
    if (settings.labels.tumorLabel && !inBytes(*settings.labels.tumorLabel))
        throw UsageError(fmt::format("tumour label {}: labels are 1 to 255", *settings.labels.tumorLabel));
}

MedsamCase prepareMedsamCase(const fs::path& imagePath, const fs::path& labelPath, const MedsamSettings& settings,
                             const LabelReader& reader) {
    MedsamImageRules rules = settings.image;
    rules.modality = modalityFromName(settings.modality);
    // A damaged or foreign grid is found before anything large is read.
    const ImageHeader header = readImageHeader(imagePath);
    reader.requireGrid(labelPath, header.geometry, imagePath);
    MedsamCase result{.images = {},
                      .labels = {},
                      .slices = {},
                      .spacing = header.geometry.spacing(),
                      .size = header.geometry.size(),
                      .scale = {}};
    std::optional<MedsamImage> image;
    parallelForEach(0, 2, [&](std::int64_t part) {
        if (part == 0) {
            image.emplace(readStoredImage(imagePath), rules);
            return;
        }
        Volume<std::uint8_t> labels;
        if (reader.readsMasks()) {
            CaseLabels read = reader.read(labelPath, header.geometry, imagePath);
            result.overlapping = read.overlapping;
            labels = asBytes(std::move(read.map), labelPath);
        } else {
            labels = readByteLabels(labelPath);
        }
        result.wrappedTumors = cleanMedsamLabels(labels, settings.labels);
        result.slices = labelledSlices(labels);
        if (!result.slices.empty()) result.labels = keepSlices(std::move(labels), result.slices);
    });
    result.scale = image->scale();
    if (result.empty()) return result;
    result.images = Volume<std::uint8_t>(result.labels.geometry());
    image->slicesToBytes(result.slices, result.images.voxels());
    return result;
}

void writeMedsamNpz(const fs::path& path, const MedsamCase& prepared) {
    const std::vector<std::int64_t> shape{prepared.images.nz(), prepared.images.ny(), prepared.images.nx()};
    const std::vector<NpzMember> members{
        {"imgs", NpyType::U8, shape, prepared.images.voxels()},
        {"gts", NpyType::U8, shape, prepared.labels.voxels()},
        {"spacing",
         NpyType::F64,
         {3},
         {reinterpret_cast<const std::uint8_t*>(prepared.spacing.data()), sizeof(prepared.spacing)}}};
    writeNpz(path, members);
}

std::string medsamPrefix(const MedsamSettings& settings) {
    return settings.anatomy.empty() ? settings.modality + "_"
                                    : fmt::format("{}_{}_", settings.modality, settings.anatomy);
}

fs::path medsamVolumeFolder(const MedsamSettings& settings, bool training) {
    std::string prefix = medsamPrefix(settings);
    prefix.pop_back();
    const char* kind = settings.form == "litemedsam" ? "MedSAM" : "npz";
    return fs::path(fmt::format("{}_{}", kind, training ? "train" : "test")) / prefix;
}

std::vector<PipelineCase> medsamCases(const std::vector<ImageLabelPair>& pairs, const MedsamSettings& settings) {
    std::vector<PipelineCase> cases;
    for (const ImageLabelPair& pair : pairs) {
        const bool training = settings.trainCases == 0 || static_cast<int>(cases.size()) < settings.trainCases;
        PipelineCase item{medsamPrefix(settings) + pair.id, {pair.image, pair.label}};
        item.parameters["train"] = training;
        cases.push_back(std::move(item));
    }
    return cases;
}

CaseForm medsamForm(const MedsamSettings& settings, const LabelReader& reader) {
    checkMedsamSettings(settings);
    MedsamSettings resolved = settings;
    resolved.image.modality = modalityFromName(settings.modality);
    CaseForm form;
    form.name = resolved.form;
    form.version = 2;
    form.parameters = parametersOf(resolved, reader);
    form.memory = [resolved, reader](const PipelineCase& item) { return memoryOf(item, resolved, reader); };
    form.process = [resolved, reader](const PipelineCase& item, const fs::path& folder) {
        return writeCase(item, resolved, reader, folder);
    };
    return form;
}

}  // namespace medseg
