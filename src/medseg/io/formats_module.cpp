#include "medseg/io/formats_module.h"

#include "medseg/base/files.h"
#include "medseg/base/late_library.h"

namespace medseg {

FormatsModule& loadFormatsModule() {
    static FormatsModule* const module = [] {
        using Entry = FormatsModule* (*)();
        const auto entry = reinterpret_cast<Entry>(
            openLateLibrary("libmedseg_formats.so", "medsegFormatsModule",
                            "this build reads no DICOM, TIFF and JPEG (libmedseg_formats.so is missing): build with "
                            "-DMEDSEG_WITH_FORMATS=ON"));
        return entry();
    }();
    return *module;
}

bool isTiffName(const std::filesystem::path& path) {
    return endsWithIgnoringCase(path.string(), ".tif") || endsWithIgnoringCase(path.string(), ".tiff");
}

bool isJpegName(const std::filesystem::path& path) {
    return endsWithIgnoringCase(path.string(), ".jpg") || endsWithIgnoringCase(path.string(), ".jpeg");
}

}  // namespace medseg
