#include "medseg/io/dicom/dicom_file.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg::dicom {
namespace {

constexpr Tag kImageType = 0x00080008, kSopClass = 0x00080016, kSopInstance = 0x00080018, kModality = 0x00080060,
              kSeriesDescription = 0x0008103e, kSliceThickness = 0x00180050, kSpacingBetweenSlices = 0x00180088,
              kImagerPixelSpacing = 0x00181164, kSeries = 0x0020000e, kSeriesNumber = 0x00200011,
              kAcquisitionNumber = 0x00200012, kInstanceNumber = 0x00200013, kPosition = 0x00200032,
              kOrientation = 0x00200037, kTemporalIndex = 0x00200100, kFrameTemporalIndex = 0x00209128,
              kSamples = 0x00280002, kPhotometric = 0x00280004, kFrames = 0x00280008, kRows = 0x00280010,
              kColumns = 0x00280011, kPixelSpacing = 0x00280030, kBitsAllocated = 0x00280100, kBitsStored = 0x00280101,
              kPixelRepresentation = 0x00280103, kIntercept = 0x00281052, kSlope = 0x00281053,
              kGridOffsets = 0x3004000c, kDoseScaling = 0x3004000e, kSharedGroups = 0x52009229,
              kFrameGroups = 0x52009230, kPlanePosition = 0x00209113, kPlaneOrientation = 0x00209116,
              kFrameContent = 0x00209111, kPixelMeasures = 0x00289110, kValueTransformation = 0x00289145,
              kSegmentIdentification = 0x0062000a, kSegmentNumber = 0x0062000b;

constexpr const char* kSegmentationClass = "1.2.840.10008.5.1.4.1.1.66.4";
constexpr const char* kLabelMapClass = "1.2.840.10008.5.1.4.1.1.66.7";
constexpr const char* kStructureSetClass = "1.2.840.10008.5.1.4.1.1.481.3";
/// More than scanners and segmentation tools write; each frame costs a record.
constexpr int kMaxFrames = 1'000'000;

Vec3 normalised(const Vec3& v, const std::string& name) {
    const double length = std::hypot(v[0], v[1], v[2]);
    if (!(std::abs(length - 1) < 0.1)) throw DataError(name, "ImageOrientationPatient is no direction");
    return {v[0] / length, v[1] / length, v[2] / length};
}

bool readOrientation(const DataSet& data, Frame& frame, const std::string& name) {
    const std::vector<double> values = data.decimals(kOrientation);
    if (values.size() != 6) return false;
    frame.alongRow = normalised({values[0], values[1], values[2]}, name);
    frame.alongColumn = normalised({values[3], values[4], values[5]}, name);
    const double cosine = frame.alongRow[0] * frame.alongColumn[0] + frame.alongRow[1] * frame.alongColumn[1] +
                          frame.alongRow[2] * frame.alongColumn[2];
    if (std::abs(cosine) > 0.01)
        throw DataError(name, "rows and columns of ImageOrientationPatient are not at right angles");
    return true;
}

bool readSpacing(const DataSet& data, Tag tag, Frame& frame) {
    const std::vector<double> values = data.decimals(tag);
    if (values.size() != 2 || !(values[0] > 0 && values[1] > 0)) return false;
    frame.rowSpacing = values[0];
    frame.columnSpacing = values[1];
    return true;
}

void readScaling(const DataSet& data, Frame& frame) {
    const auto slope = data.decimal(kSlope);
    if (slope && *slope != 0) frame.slope = *slope;
    frame.inter = data.decimal(kIntercept).value_or(frame.inter);
}

void readSliceDistance(const DataSet& data, DicomFile& file) {
    for (Tag tag : {kSpacingBetweenSlices, kSliceThickness})
        if (const auto distance = data.decimal(tag); distance && std::abs(*distance) > 0 && file.sliceDistance == 0)
            file.sliceDistance = std::abs(*distance);
}

/// The functional groups of enhanced images: the same modules as of plain images, one sequence deeper.
void readGroups(const DataSet& groups, Frame& frame, DicomFile& file) {
    const std::string name = file.path.string();
    if (readOrientation(groups.first(kPlaneOrientation), frame, name)) file.hasOrientation = true;
    if (const auto position = groups.first(kPlanePosition).vector3(kPosition)) frame.position = position;
    const DataSet measures = groups.first(kPixelMeasures);
    readSpacing(measures, kPixelSpacing, frame);
    readSliceDistance(measures, file);
    readScaling(groups.first(kValueTransformation), frame);
    const DataSet content = groups.first(kFrameContent);
    if (const auto index = content.unsignedLong(kFrameTemporalIndex))
        frame.order[0] = static_cast<int>(*index & 0x7fffffff);
    frame.segment = groups.first(kSegmentIdentification).unsignedShort(kSegmentNumber).value_or(frame.segment);
}

Frame readCommonFrame(const DataSet& data, DicomFile& file) {
    Frame frame;
    file.hasOrientation = readOrientation(data, frame, file.path.string());
    frame.position = data.vector3(kPosition);
    if (!readSpacing(data, kPixelSpacing, frame)) readSpacing(data, kImagerPixelSpacing, frame);
    readScaling(data, frame);
    if (const auto dose = data.decimal(kDoseScaling); dose && *dose > 0) frame.slope = *dose;
    frame.order = {data.integer(kTemporalIndex), data.integer(kAcquisitionNumber), data.integer(kInstanceNumber)};
    return frame;
}

/// Dose grids list the offsets of their frames along the normal.
void applyGridOffsets(const DataSet& data, DicomFile& file) {
    const std::vector<double> offsets = data.decimals(kGridOffsets);
    if (offsets.size() != file.frames.size() || offsets.empty() || !file.frames.front().position) return;
    for (std::size_t i = 0; i < offsets.size(); ++i) {
        Frame& frame = file.frames[i];
        const Vec3 &r = frame.alongRow, &c = frame.alongColumn;
        const Vec3 normal{r[1] * c[2] - r[2] * c[1], r[2] * c[0] - r[0] * c[2], r[0] * c[1] - r[1] * c[0]};
        for (int axis = 0; axis < 3; ++axis) (*frame.position)[axis] += normal[axis] * (offsets[i] - offsets[0]);
    }
}

void readFrames(const DataSet& data, DicomFile& file) {
    Frame common = readCommonFrame(data, file);
    readSliceDistance(data, file);
    readGroups(data.first(kSharedGroups), common, file);
    file.frames.assign(static_cast<std::size_t>(file.pixels.frames), common);
    const std::vector<DataSet> groups = data.items(kFrameGroups);
    if (!groups.empty() && groups.size() < file.frames.size())
        throw DataError(file.path.string(),
                        fmt::format("describes {} of its {} frames", groups.size(), file.frames.size()));
    for (std::size_t i = 0; i < file.frames.size(); ++i) {
        file.frames[i].index = static_cast<int>(i);
        if (!groups.empty()) readGroups(groups[i], file.frames[i], file);
    }
    applyGridOffsets(data, file);
    // Frames without places of their own must not share that of the first.
    if (groups.empty() && file.frames.size() > 1 && data.decimals(kGridOffsets).empty())
        for (Frame& frame : file.frames) frame.position.reset();
}

PixelLayout readPixelLayout(const DataSet& data, const std::string& name) {
    PixelLayout pixels;
    const auto rows = data.unsignedShort(kRows), columns = data.unsignedShort(kColumns);
    if (!rows || !columns) return pixels;
    pixels.rows = *rows;
    pixels.columns = *columns;
    const double frames = data.decimal(kFrames).value_or(1);
    if (pixels.rows == 0 || pixels.columns == 0 || !(frames >= 1 && frames <= kMaxFrames))
        throw DataError(name, fmt::format("claims {} x {} pixels in {} frames", *columns, *rows, frames));
    pixels.frames = static_cast<int>(frames);
    pixels.samples = data.unsignedShort(kSamples).value_or(1);
    pixels.bitsAllocated = data.unsignedShort(kBitsAllocated).value_or(16);
    pixels.bitsStored = data.unsignedShort(kBitsStored).value_or(pixels.bitsAllocated);
    pixels.isSigned = data.unsignedShort(kPixelRepresentation).value_or(0) == 1;
    pixels.photometric = data.text(kPhotometric);
    if (pixels.bitsStored < 1 || pixels.bitsStored > pixels.bitsAllocated)
        throw DataError(name, fmt::format("stores {} of {} bits", pixels.bitsStored, pixels.bitsAllocated));
    return pixels;
}

}  // namespace

bool DicomFile::isSegmentation() const {
    return sopClass == kSegmentationClass || sopClass == kLabelMapClass;
}

bool DicomFile::isStructureSet() const {
    return sopClass == kStructureSetClass;
}

DicomFile readDicomFile(const fs::path& path) {
    const Document document(path);
    const DataSet& data = document.data();
    DicomFile file;
    file.path = path;
    file.sopClass = data.text(kSopClass);
    file.sopInstance = data.text(kSopInstance);
    file.series = data.text(kSeries);
    file.transferSyntax = document.transferSyntax();
    file.modality = data.text(kModality);
    file.description = data.text(kSeriesDescription);
    file.seriesNumber = data.integer(kSeriesNumber);
    file.isMosaic = data.text(kImageType).find("MOSAIC") != std::string::npos;
    file.pixels = readPixelLayout(data, path.string());
    if (file.pixels.frames > 0) readFrames(data, file);
    return file;
}

}  // namespace medseg::dicom
