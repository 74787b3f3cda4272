#include "medseg/io/picture_file.h"

#include "medseg/base/files.h"
#include "medseg/io/formats_module.h"

namespace medseg {

bool isPictureName(const fs::path& path) {
    return endsWithIgnoringCase(path.string(), ".png") || isJpegName(path) || isTiffName(path);
}

PngPixels readPicturePixels(const fs::path& path) {
    const auto isPng = [&] {
        const MappedFile file(path);
        return file.bytes().size() >= 4 && file.bytes()[0] == 0x89 && file.bytes()[1] == 'P';
    };
    return isPng() ? readPngPixels(path) : loadFormatsModule().readPixels(path);
}

}  // namespace medseg
