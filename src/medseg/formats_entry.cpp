// The door of libmedseg_formats: what loadFormatsModule() finds.
#include <fmt/format.h>
#include <gdcmGlobal.h>
#include <gdcmTrace.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/dicom/dicom_series.h"
#include "medseg/io/dicom/segmentation.h"
#include "medseg/io/dicom/structure_set.h"
#include "medseg/io/dicom_paths.h"
#include "medseg/io/formats_module.h"
#include "medseg/io/picture/picture.h"

namespace medseg {
namespace {

namespace d = medseg::dicom;

class ForeignFormats : public FormatsModule {
  public:
    ForeignFormats() {
        // Built here, not by the first of several threads; its messages are not for users.
        gdcm::Global::GetInstance();
        gdcm::Trace::WarningOff();
        gdcm::Trace::ErrorOff();
        gdcm::Trace::DebugOff();
    }

    ImageHeader readDicomHeader(const fs::path& path, const ReadOptions& options) override {
        const std::vector<d::DicomFile> files = filesOf(path, options);
        if (files.front().isSegmentation()) return d::segmentationHeader(onlyOne(files, path), options);
        if (files.front().isStructureSet()) return d::structureSetHeader(onlyOne(files, path), options);
        return d::imageHeader(files, options, path.string());
    }

    StoredImage readDicom(const fs::path& path, const ReadOptions& options) override {
        const std::vector<d::DicomFile> files = filesOf(path, options);
        if (files.front().isSegmentation()) return d::readSegmentation(onlyOne(files, path), options);
        if (files.front().isStructureSet()) return d::readStructureSet(onlyOne(files, path), options);
        return d::readImages(files, options, path.string());
    }

    std::vector<DicomSeriesSummary> listDicomSeries(const fs::path& folder) override {
        std::vector<DicomSeriesSummary> summaries;
        for (const d::Series& series : d::findSeries(folder)) summaries.push_back(series.summary);
        return summaries;
    }

    ImageHeader readPictureHeader(const fs::path& path) override {
        return isJpeg(path) ? picture::jpegHeader(path) : picture::tiffHeader(path);
    }

    StoredImage readPicture(const fs::path& path) override {
        return isJpeg(path) ? picture::readJpeg(path) : picture::readTiff(path);
    }

    PngPixels readPixels(const fs::path& path) override {
        return isJpeg(path) ? picture::jpegPixels(path) : picture::tiffPixels(path);
    }

    void writePicture(const fs::path& path, const AnyVolume& volume) override {
        if (isJpegName(path)) return picture::writeJpeg(path, volume);
        picture::writeTiff(path, volume);
    }

  private:
    static bool isJpeg(const fs::path& path) {
        const MappedFile file(path);
        return file.bytes().size() >= 2 && file.bytes()[0] == 0xff && file.bytes()[1] == 0xd8;
    }

    static std::vector<d::DicomFile> filesOf(const fs::path& path, const ReadOptions& options) {
        if (fs::is_directory(path)) return d::chooseSeries(d::findSeries(path), options.series, path).files;
        std::vector<d::DicomFile> files{d::readDicomFile(path)};
        if (files.front().pixels.frames == 0 && !files.front().isStructureSet())
            throw DataError(path.string(), "is a DICOM file without an image");
        return files;
    }

    static const d::DicomFile& onlyOne(const std::vector<d::DicomFile>& files, const fs::path& path) {
        if (files.size() == 1) return files.front();
        throw DataError(path.string(),
                        fmt::format("holds {} files with {}: name one of them", files.size(),
                                    files.front().isSegmentation() ? "segmentations" : "structure sets"));
    }
};

}  // namespace
}  // namespace medseg

extern "C" medseg::FormatsModule* medsegFormatsModule() {
    static medseg::ForeignFormats module;
    return &module;
}
