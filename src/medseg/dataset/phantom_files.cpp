#include "medseg/dataset/phantom_files.h"

#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/progress.h"
#include "medseg/base/threads.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

Volume<std::uint8_t> maskOf(const LabelMap& labels, int id) {
    Volume<std::uint8_t> mask(labels.geometry());
    labels.visit([&](const auto& voxels) {
        for (std::int64_t i = 0; i < mask.voxelCount(); ++i)
            mask.data()[i] = static_cast<int>(voxels.data()[i]) == id ? 1 : 0;
    });
    return mask;
}

/// Writes the case into a hidden folder and renames it, so that a case is there whole or not at all.
void writeCaseFolder(const PhantomCase& phantom, const fs::path& directory) {
    const fs::path target = directory / phantom.id, hidden = directory / ("." + phantom.id + ".partial");
    std::error_code ignored;
    fs::remove_all(hidden, ignored);
    try {
        createDirectories(hidden / "segmentations");
        writeImage(hidden / "ct.nii.gz", AnyVolume(phantom.image.clone()));
        const auto& table = phantom.labels.table().labels();
        parallelForEach(0, static_cast<std::int64_t>(table.size()), [&](std::int64_t i) {
            throwIfInterrupted();
            const Label& label = table[static_cast<std::size_t>(i)];
            writeImage(hidden / "segmentations" / (label.name + ".nii.gz"),
                       AnyVolume(maskOf(phantom.labels, label.id)));
        });
        fs::remove_all(target, ignored);
        std::error_code error;
        fs::rename(hidden, target, error);
        if (error) throw WorkError(target.string(), "cannot be written: " + error.message());
    } catch (...) {
        fs::remove_all(hidden, ignored);
        throw;
    }
}

void writePair(const PhantomCase& phantom, const fs::path& directory) {
    writeImage(directory / "imagesTr" / (phantom.id + "_0000.nii.gz"), AnyVolume(phantom.image.clone()));
    writeLabelMap(directory / "labelsTr" / (phantom.id + ".nii.gz"), phantom.labels);
}

constexpr const char* kRecordName = "phantom.json";

/// A folder that holds cases of another origin stays as it is; one that an earlier run wrote is written anew.
void claimDirectory(const PhantomSettings& settings, PhantomLayout layout, const fs::path& directory) {
    std::error_code error;
    const fs::path first = directory / (layout == PhantomLayout::NnUNet ? "imagesTr" : "s0000");
    if (fs::exists(first, error) && !fs::exists(directory / kRecordName, error))
        throw WorkError(first.string(), "exists and is no phantom: choose another folder");
    createDirectories(directory);
    const nlohmann::ordered_json record{{"seed", settings.seed},
                                        {"size", settings.size},
                                        {"spacing", settings.spacing},
                                        {"cases", settings.cases},
                                        {"noise", settings.noise},
                                        {"body_scale", settings.bodyScale},
                                        {"structures", phantomStructures(settings)}};
    writeTextFile(directory / kRecordName, record.dump(1) + "\n");
}

void writeDatasetJson(const PhantomSettings& settings, const fs::path& directory) {
    nlohmann::ordered_json labels{{"background", 0}};
    int id = 0;
    for (const std::string& name : phantomStructures(settings)) labels[name] = ++id;
    const nlohmann::ordered_json dataset{
        {"name", "phantom"}, {"description", "Synthetic torso CT"}, {"channel_names", {{"0", "CT"}}},
        {"labels", labels},  {"numTraining", settings.cases},       {"file_ending", ".nii.gz"}};
    writeTextFile(directory / "dataset.json", dataset.dump(2) + "\n");
}

}  // namespace

PhantomLayout phantomLayoutFromName(const std::string& name) {
    if (name == "totalsegmentator") return PhantomLayout::TotalSegmentator;
    if (name == "nnunet") return PhantomLayout::NnUNet;
    throw UsageError(fmt::format("unknown layout \"{}\": give totalsegmentator or nnunet", name));
}

std::vector<std::string> writePhantom(const PhantomSettings& settings, PhantomLayout layout,
                                      const fs::path& directory) {
    if (settings.cases < 1 || settings.cases > 10000)
        throw UsageError(fmt::format("{} phantom cases: give 1 to 10000", settings.cases));
    checkPhantomSettings(settings);
    claimDirectory(settings, layout, directory);
    if (layout == PhantomLayout::NnUNet) {
        createDirectories(directory / "imagesTr");
        createDirectories(directory / "labelsTr");
        writeDatasetJson(settings, directory);
    }
    std::vector<std::string> ids;
    Progress progress("phantom", settings.cases, "cases");
    for (int index = 0; index < settings.cases; ++index) {
        throwIfInterrupted();
        const PhantomCase phantom = makePhantomCase(settings, index);
        if (layout == PhantomLayout::TotalSegmentator)
            writeCaseFolder(phantom, directory);
        else
            writePair(phantom, directory);
        ids.push_back(phantom.id);
        progress.advance();
    }
    progress.finish();
    return ids;
}

}  // namespace medseg
