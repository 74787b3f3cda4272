// Options of the forms of `medseg prepare`, and the two commands on nnU-Net datasets.
#include "prepare_forms.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/nnunet_dataset.h"

namespace medseg::cli {
namespace {

std::vector<std::string> splitAtCommas(const std::string& text) {
    std::vector<std::string> parts;
    if (text.empty()) return parts;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t comma = std::min(text.find(',', begin), text.size());
        parts.push_back(text.substr(begin, comma - begin));
        begin = comma + 1;
    }
    return parts;
}

/// JSON's quoted strings are YAML's.
std::string quoted(const std::string& text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void declareMedsam(KeyOptions& options) {
    const std::string section = "prepare_medsam.";
    options.group("MedSAM, MedSAM2, LiteMedSAM (--form medsam, medsam2, litemedsam)");
    options.add("--modality", section + "modality", KeyValue::Text,
                "CT: a window; MR and others: percentiles (default CT)", "NAME");
    options.add("--anatomy", section + "anatomy", KeyValue::Text,
                "Second part of output names, as in CT_Abd_CASE (default Abd)", "NAME");
    options.add("--window-level", section + "window_level", KeyValue::Plain,
                "CT: middle of the window, HU (default 40)", "HU");
    options.add("--window-width", section + "window_width", KeyValue::Plain,
                "CT: width of the window, HU (default 400)", "HU");
    options.add("--percentiles", section + "percentiles", KeyValue::List,
                "Others: limits among the positive voxels (default 0.5,99.5)", "LOW,HIGH");
    options.add("--remove-labels", section + "remove_labels", KeyValue::List,
                "Labels to drop (default 12, of mask folders none; 0: none)", "ID,...");
    options.add("--tumor-label", section + "tumor_label", KeyValue::Plain,
                "Label whose components become labels of their own (default: none)", "ID");
    options.add("--dust-3d", section + "dust_3d", KeyValue::Plain,
                "Drop components of fewer voxels (default 1000; litemedsam 100)", "VOXELS");
    options.add("--dust-2d", section + "dust_2d", KeyValue::Plain,
                "Then drop components of fewer pixels in a slice (default 100; litemedsam 10)", "PIXELS");
    options.add("--train-cases", section + "train_cases", KeyValue::Plain,
                "The first N sorted cases are for training; 0: all (default 40)", "N");
    options.addFlag("--npy", section + "npy", "Also one .npy a slice, of the training cases");
    options.addFlag("--save-nii", section + "save_nii", "Also the kept slices as NIfTI, to look at");
}

void declareSam3d(KeyOptions& options) {
    const std::string section = "prepare_sam3d.";
    options.group("SAM 3D (--form sam3d)");
    options.add("--classes", section + "classes", KeyValue::Plain,
                "Labels are 1 to N (default 5, of mask folders the number of structures)", "N");
    options.add("--spacing", section + "spacing", KeyValue::Plain,
                "Size of the cubic voxels, mm; 0 keeps the grid (default 3)", "MM");
    options.add("--cut-axes", section + "axes", KeyValue::List,
                "Axes of the stored array to cut across (default 0,1,2)", "0,1,2");
    options.add("--min-foreground", section + "min_foreground", KeyValue::Plain,
                "Leave out slices with a smaller share of labelled pixels (default 0.01)", "SHARE");
    options.addFlag("--meshes", section + "meshes", "Also surfaces, meshes/CASE_classN.obj");
    options.addFlag("--open-surfaces", section + "open_surfaces",
                    "Leave surfaces open where the volume cuts an object");
    options.addFlag("--sdf-mm", section + "sdf_mm", "Signed distances in mm instead of voxels");
    options.addFlag("--legacy-pointmap", section + "legacy_pointmap",
                    "Points from permuted indices, as the Python scripts compute them (wrong places)");
}

void declareNnunet(KeyOptions& options) {
    const std::string section = "prepare_nnunet.";
    options.group("nnU-Net (--form nnunet, nnunet-check, nnunet-fingerprint)");
    options.add("--channels", section + "channels", KeyValue::TextList, "Names of the channels (default CT)",
                "NAME,...");
    options.add(
        "--more-suffixes", section + "more_suffixes", KeyValue::TextList,
        "Endings of the image names of the second channel and on; the first has --image-suffix. In case folders "
        "the names of the files",
        "TEXT,...");
    options.add("--label-names", section + "label_names", KeyValue::TextList,
                "Names of labels 1, 2 ... (default: those of masks or of the source's dataset.json, else label_1 ...)",
                "NAME,...");
    options.add("--test-images", section + "test_images", KeyValue::Text,
                "Folder of images without labels, for imagesTs", "DIR");
}

}  // namespace

std::string keyOverride(const std::string& key, const std::string& text, KeyValue kind) {
    if (kind == KeyValue::Plain) return fmt::format("{}={}", key, text);
    if (kind == KeyValue::Text) return fmt::format("{}={}", key, quoted(text));
    std::vector<std::string> parts = splitAtCommas(text);
    if (kind == KeyValue::TextList) std::transform(parts.begin(), parts.end(), parts.begin(), quoted);
    return fmt::format("{}=[{}]", key, fmt::join(parts, ", "));
}

void KeyOptions::add(const std::string& option, const std::string& key, KeyValue kind, const std::string& meaning,
                     const std::string& type) {
    CLI::Option* added = app_.add_option_function<std::string>(
        option,
        [key, kind, &overrides = overrides_](const std::string& text) {
            overrides.push_back(keyOverride(key, text, kind));
        },
        meaning);
    added->type_name(type);
    if (!group_.empty()) added->group(group_);
}

void KeyOptions::addFlag(const std::string& option, const std::string& key, const std::string& meaning) {
    CLI::Option* added = app_.add_flag_callback(
        option, [key, &overrides = overrides_] { overrides.push_back(key + "=true"); }, meaning);
    if (!group_.empty()) added->group(group_);
}

void declareFormOptions(KeyOptions& options) {
    declareMedsam(options);
    declareSam3d(options);
    declareNnunet(options);
}

int runNnunetCheck(const std::string& input) {
    if (input.empty()) throw UsageError("give --input DIR, the folder with dataset.json");
    const std::vector<std::string> faults = checkNnunetDataset(input);
    for (const std::string& fault : faults) fmt::print("{}\n", fault);
    if (!faults.empty()) throw DataError(input, fmt::format("faults found: {}, see above", faults.size()));
    fmt::print("{}: no faults\n", input);
    return static_cast<int>(ExitCode::Done);
}

int runNnunetFingerprint(const std::string& input, const std::string& output) {
    if (input.empty()) throw UsageError("give --input DIR, the folder with dataset.json");
    const fs::path folder = output.empty() ? input : output;
    createDirectories(folder);
    const fs::path file = folder / "dataset_fingerprint.json";
    writeTextFile(file, toJson(nnunetFingerprint(input)).dump(4) + '\n');
    fmt::print("{}\n", file.string());
    return static_cast<int>(ExitCode::Done);
}

}  // namespace medseg::cli
