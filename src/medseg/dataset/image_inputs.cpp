#include "medseg/dataset/image_inputs.h"

#include <algorithm>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/dicom_paths.h"
#include "medseg/io/formats_module.h"
#include "medseg/io/image_file.h"

namespace medseg {

namespace {

/// A DICOM folder is one image for each series of images in it.
void addDicom(const fs::path& folder, std::vector<fs::path>& files) {
    std::vector<DicomSeriesSummary> series = loadFormatsModule().listDicomSeries(folder);
    std::erase_if(series, [](const DicomSeriesSummary& s) { return s.modality == "SEG" || s.modality == "RTSTRUCT"; });
    if (series.size() == 1) return files.push_back(folder);
    for (const DicomSeriesSummary& one : series) files.push_back(folder / one.uid);
}

void addFolder(const fs::path& folder, std::vector<fs::path>& files) {
    for (const auto& entry : fs::directory_iterator(folder)) {
        const fs::path& file = entry.path();
        if (entry.is_directory()) {
            if (fs::is_regular_file(file / "ct.nii.gz"))
                files.push_back(file / "ct.nii.gz");
            else if (holdsDicom(file))
                addDicom(file, files);
        } else if (isImageName(file) && !endsWithIgnoringCase(file.filename().string(), ".img")) {
            files.push_back(file);
        }
    }
}

}  // namespace

ImageInputs findImageInputs(const fs::path& path) {
    if (!fs::exists(path) && asDicomSeriesPath(path)) return {{path}, false};
    if (!fs::exists(path)) throw DataError(path.string(), "no such file or folder: check the path");
    if (!fs::is_directory(path)) return {{path}, false};
    if (isDicomFolder(path)) {
        ImageInputs inputs{{}, false};
        addDicom(path, inputs.files);
        inputs.isFolder = inputs.files.size() != 1;
        if (inputs.files.empty()) throw DataError(path.string(), "its DICOM files hold no images");
        return inputs;
    }
    ImageInputs inputs{{}, true};
    addFolder(path, inputs.files);
    if (inputs.files.empty())
        throw DataError(path.string(),
                        "no images in this folder: *.nii.gz (or another format), CASE/ct.nii.gz or DICOM series were "
                        "looked for");
    std::sort(inputs.files.begin(), inputs.files.end());
    return inputs;
}

std::string caseNameOf(const fs::path& image) {
    std::string stem = imageStem(image);
    if (stem == "ct" || stem == "mri" || stem == "image" || stem == "segmentations") {
        const std::string folder = fs::absolute(image).parent_path().filename().string();
        if (!folder.empty()) return folder;
    }
    if (stem.size() > 5 && stem.ends_with("_0000")) stem.resize(stem.size() - 5);
    return stem;
}

}  // namespace medseg
