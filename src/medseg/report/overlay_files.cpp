#include "medseg/report/overlay_files.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/dataset/class_list.h"
#include "medseg/dataset/image_inputs.h"
#include "medseg/io/dicom_paths.h"
#include "medseg/io/formats_module.h"
#include "medseg/io/image_file.h"
#include "medseg/volume/orientation.h"

namespace medseg {
namespace {

constexpr const char* kMaskFolder = "segmentations";

std::vector<fs::path> sortedEntries(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code code;
    for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code))
        if (!entry->path().filename().string().starts_with('.')) entries.push_back(entry->path());
    if (code) throw DataError(folder.string(), "cannot list the folder: " + code.message());
    std::sort(entries.begin(), entries.end());
    return entries;
}

std::optional<fs::path> imageOfCaseFolder(const fs::path& folder) {
    for (const char* stem : {"ct", "mri", "image"})
        for (const char* ending : {".nii.gz", ".nii"})
            if (const fs::path file = folder / (std::string(stem) + ending); fs::is_regular_file(file)) return file;
    return std::nullopt;
}

std::vector<fs::path> imagesIn(const fs::path& images) {
    if (!fs::exists(images) && asDicomSeriesPath(images)) return {images};
    if (!fs::exists(images)) throw DataError(images.string(), "no such file or folder: check the path");
    if (!fs::is_directory(images)) return {images};
    if (const auto file = imageOfCaseFolder(images)) return {*file};
    if (isDicomFolder(images)) return findImageInputs(images).files;
    std::vector<fs::path> files;
    for (const fs::path& entry : sortedEntries(images)) {
        if (fs::is_regular_file(entry) && isImageName(entry)) files.push_back(entry);
        if (!fs::is_directory(entry)) continue;
        if (const auto file = imageOfCaseFolder(entry))
            files.push_back(*file);
        else if (isDicomFolder(entry))
            files.push_back(entry);
    }
    if (files.empty())
        throw DataError(images.string(), "holds no images: neither image files nor case folders with ct.nii.gz");
    return files;
}

bool isSameFile(const fs::path& a, const fs::path& b) {
    std::error_code error;  // of a DICOM series named like a sub-folder
    return fs::equivalent(a, b, error) && !error;
}

bool holdsImages(const fs::path& folder) {
    const std::vector<fs::path> entries = sortedEntries(folder);
    return std::any_of(entries.begin(), entries.end(), [](const fs::path& entry) { return isImageName(entry); });
}

/// The segmentation of case `name` in `place`, which may be its file or mask folder itself when there is only one case.
fs::path segmentationOf(const std::string& name, const fs::path& image, const fs::path& place, bool onlyCase) {
    if (place.empty()) return {};
    if (!fs::exists(place)) throw DataError(place.string(), "no such file or folder: check the path");
    if (!fs::is_directory(place)) {
        if (onlyCase) return place;
        throw DataError(place.string(), "is one file for several images: give a folder with one segmentation a case");
    }
    for (const fs::path& entry : sortedEntries(place))
        if (fs::is_regular_file(entry) && isImageName(entry) && caseNameOf(entry) == name && !isSameFile(entry, image))
            return entry;
    for (const fs::path& folder : {place / name / kMaskFolder, place / name})
        if (fs::is_directory(folder) && holdsImages(folder)) return folder;
    if (onlyCase && fs::is_directory(place / kMaskFolder)) return place / kMaskFolder;
    if (onlyCase && holdsImages(place)) return place;
    throw DataError(place.string(),
                    fmt::format("holds no segmentation of \"{0}\": looked for {0}.nii.gz (and other image endings), "
                                "{0}/{1} and a folder {0} with masks",
                                name, kMaskFolder));
}

LabelMap readMasks(const fs::path& folder, const fs::path& image) {
    std::vector<std::string> names;
    fs::path grid = image;
    for (const fs::path& entry : sortedEntries(folder))
        if (fs::is_regular_file(entry) && isImageName(entry)) {
            names.push_back(imageStem(entry));
            if (grid.empty()) grid = entry;
        }
    if (names.empty()) throw DataError(folder.string(), "holds no masks: expected <structure>.nii.gz");
    const bool known =
        std::all_of(names.begin(), names.end(), [](const std::string& name) { return totalSegmentatorId(name) > 0; });
    Dataset dataset;
    dataset.labels = known ? totalSegmentatorLabels() : LabelTable::fromNames(names);
    Case item;
    item.id = folder.string();
    item.image = grid;
    item.maskFolder = folder;
    LabelLayers layers = readCaseLabels(dataset, item, readImageHeader(grid).geometry);
    LabelMap merged = std::move(layers.layers.front());
    // Structures that overlap the first layer are shown where it is empty.
    for (std::size_t i = 1; i < layers.layers.size(); ++i)
        merged.visit([&](auto& target) {
            layers.layers[i].visit([&](const auto& source) {
                using Voxel = std::remove_reference_t<decltype(*target.data())>;
                for (std::int64_t v = 0; v < target.voxelCount(); ++v)
                    if (target.data()[v] == 0) target.data()[v] = static_cast<Voxel>(source.data()[v]);
            });
        });
    return merged;
}

/// Labels that went through another program may have their rows in another order than the image.
LabelMap turnedOnto(LabelMap labels, const Geometry& grid) {
    if (labels.geometry().matches(grid)) return labels;
    const auto turn = turnOnto(labels.geometry(), grid);
    if (!turn) return labels;  // the caller reports both geometries
    return labels.visit([&](auto& volume) {
        AnyVolume result = turned(AnyVolume(std::move(volume)), *turn);
        return LabelMap(std::get<std::remove_cvref_t<decltype(volume)>>(std::move(result)), labels.table());
    });
}

LabelTable namedList(const std::string& name) {
    if (name == "totalsegmentator") return totalSegmentatorLabels();
    throw UsageError(fmt::format("label names \"{}\" are not known: choose totalsegmentator", name));
}

std::optional<LabelMap> readSegmentation(const fs::path& path, const LabelChoice& choice, const fs::path& image) {
    if (path.empty()) return std::nullopt;
    ReadOptions reading;
    reading.reference = image;  // for DICOM segments, which go on its grid
    const bool isMaskFolder = fs::is_directory(path) && !isDicomFolder(path);
    LabelMap labels = isMaskFolder ? readMasks(path, image) : readLabelMap(path, reading);
    if (!image.empty()) labels = turnedOnto(std::move(labels), readImageHeader(image).geometry);
    if (labels.table().empty() && !choice.nameList.empty()) labels.setTable(namedList(choice.nameList));
    return labels;
}

bool isPicture(const fs::path& image) {
    return isPreviewName(image) || isTiffName(image);
}

int idOf(const std::string& text, const LabelTable& table, const std::string& source) {
    if (const Label* label = table.findName(text)) return label->id;
    int id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error == std::errc() && end == text.data() + text.size() && id >= 1 && id <= 65535) return id;
    throw UsageError(fmt::format(
        "{}: has no structure \"{}\": give a name from its label table, or an id of 1 to 65535", source, text));
}

}  // namespace

std::vector<OverlayFiles> findOverlayFiles(const fs::path& images, const fs::path& references,
                                           const fs::path& predictions) {
    const std::vector<fs::path> files = imagesIn(images);
    std::vector<OverlayFiles> cases;
    for (const fs::path& image : files) {
        const std::string name = caseNameOf(image);
        cases.push_back({name, image, segmentationOf(name, image, references, files.size() == 1),
                         segmentationOf(name, image, predictions, files.size() == 1)});
    }
    return cases;
}

LabelMap keepStructures(const LabelMap& labels, const std::vector<std::string>& wanted, const std::string& source) {
    std::vector<bool> keep(65536, false);
    for (const std::string& text : wanted) keep[static_cast<std::size_t>(idOf(text, labels.table(), source))] = true;
    return labels.visit([&](const auto& volume) {
        auto copy = volume.clone();
        for (auto& voxel : copy.voxels())
            if (!keep[voxel]) voxel = 0;
        return LabelMap(std::move(copy), labels.table());
    });
}

SegmentationPair readSegmentations(const fs::path& referenceFile, const fs::path& predictionFile,
                                   const LabelChoice& choice, const fs::path& image) {
    SegmentationPair pair{readSegmentation(referenceFile, choice, image),
                          readSegmentation(predictionFile, choice, image)};
    auto& [reference, prediction] = pair;
    if (reference && prediction) {
        if (reference->table().empty()) reference->setTable(prediction->table());
        if (prediction->table().empty()) prediction->setTable(reference->table());
    }
    if (choice.structures.empty()) return pair;
    if (reference) reference = keepStructures(*reference, choice.structures, referenceFile.string());
    if (prediction) prediction = keepStructures(*prediction, choice.structures, predictionFile.string());
    return pair;
}

LoadedCase::LoadedCase(const OverlayFiles& files, const LabelChoice& choice)
    : files_(files),
      isPicture_(isPicture(files.image)),
      image_(readImage(files.image)),
      segmentations_(readSegmentations(files.reference, files.prediction, choice, files.image)) {
    if (!isPicture_) return;
    // They are shown with row 0 on top and column 0 on the left.
    Affine affine = identityAffine();
    affine[0][0] = affine[1][1] = -1;
    const Affine stored = image_.geometry().affine();
    image_.setAffine(affine);
    for (auto* side : {&segmentations_.reference, &segmentations_.prediction})
        if (*side && (*side)->geometry().matches(Geometry(image_.size(), stored)))
            (*side)->visit([&](auto& volume) { volume.setAffine(affine); });
}

OverlayCase LoadedCase::overlay() const {
    OverlayCase overlay;
    overlay.name = files_.name;
    overlay.image = &image_;
    overlay.isOriented = overlay.isSized = !isPicture_;
    overlay.reference = segmentations_.reference ? &*segmentations_.reference : nullptr;
    overlay.prediction = segmentations_.prediction ? &*segmentations_.prediction : nullptr;
    overlay.imageFile = files_.image.string();
    overlay.referenceFile = files_.reference.string();
    overlay.predictionFile = files_.prediction.string();
    return overlay;
}

}  // namespace medseg
