#include "medseg/dataset/image_inputs.h"

#include <algorithm>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"

namespace medseg {

ImageInputs findImageInputs(const fs::path& path) {
    if (!fs::exists(path)) throw DataError(path.string(), "no such file or folder: check the path");
    if (!fs::is_directory(path)) return {{path}, false};
    ImageInputs inputs{{}, true};
    for (const auto& entry : fs::directory_iterator(path)) {
        const fs::path& file = entry.path();
        if (entry.is_directory()) {
            if (fs::is_regular_file(file / "ct.nii.gz")) inputs.files.push_back(file / "ct.nii.gz");
        } else if (isImageName(file) && !endsWithIgnoringCase(file.filename().string(), ".img")) {
            inputs.files.push_back(file);
        }
    }
    if (inputs.files.empty())
        throw DataError(path.string(), "no images in this folder: *.nii.gz or CASE/ct.nii.gz were looked for");
    std::sort(inputs.files.begin(), inputs.files.end());
    return inputs;
}

}  // namespace medseg
