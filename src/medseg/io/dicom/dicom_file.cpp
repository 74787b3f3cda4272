#include "medseg/io/dicom/dicom_file.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include <fmt/format.h>
#include <gdcmException.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/dicom/dicom_elements.h"
#include "medseg/io/dicom/dicom_lengths.h"

namespace medseg::dicom {
namespace {

using gdcm::DataSet;
using gdcm::Tag;

const Tag kImageType(0x0008, 0x0008), kSopClass(0x0008, 0x0016), kSopInstance(0x0008, 0x0018),
    kModality(0x0008, 0x0060), kSeriesDescription(0x0008, 0x103e), kSliceThickness(0x0018, 0x0050),
    kSpacingBetweenSlices(0x0018, 0x0088), kImagerPixelSpacing(0x0018, 0x1164), kSeries(0x0020, 0x000e),
    kSeriesNumber(0x0020, 0x0011), kAcquisitionNumber(0x0020, 0x0012), kInstanceNumber(0x0020, 0x0013),
    kPosition(0x0020, 0x0032), kOrientation(0x0020, 0x0037), kTemporalIndex(0x0020, 0x0100),
    kFrameTemporalIndex(0x0020, 0x9128), kSamples(0x0028, 0x0002), kPhotometric(0x0028, 0x0004),
    kFrames(0x0028, 0x0008), kRows(0x0028, 0x0010), kColumns(0x0028, 0x0011), kPixelSpacing(0x0028, 0x0030),
    kBitsAllocated(0x0028, 0x0100), kBitsStored(0x0028, 0x0101), kPixelRepresentation(0x0028, 0x0103),
    kIntercept(0x0028, 0x1052), kSlope(0x0028, 0x1053), kGridOffsets(0x3004, 0x000c), kDoseScaling(0x3004, 0x000e),
    kSharedGroups(0x5200, 0x9229), kFrameGroups(0x5200, 0x9230), kPlanePosition(0x0020, 0x9113),
    kPlaneOrientation(0x0020, 0x9116), kFrameContent(0x0020, 0x9111), kPixelMeasures(0x0028, 0x9110),
    kValueTransformation(0x0028, 0x9145), kSegmentIdentification(0x0062, 0x000a), kSegmentNumber(0x0062, 0x000b),
    kFirstPixelElement(0x7fe0, 0x0008);

constexpr const char* kSegmentationClass = "1.2.840.10008.5.1.4.1.1.66.4";
constexpr const char* kLabelMapClass = "1.2.840.10008.5.1.4.1.1.66.7";
constexpr const char* kStructureSetClass = "1.2.840.10008.5.1.4.1.1.481.3";
/// More than scanners and segmentation tools write; each frame costs a record.
constexpr int kMaxFrames = 1'000'000;

/// IS, 0 when missing.
int integer(const DataSet& data, const Tag& tag) {
    return static_cast<int>(std::clamp(decimal(data, tag).value_or(0), -2e9, 2e9));
}

Vec3 normalised(const Vec3& v, const std::string& name) {
    const double length = std::hypot(v[0], v[1], v[2]);
    if (!(std::abs(length - 1) < 0.1)) throw DataError(name, "ImageOrientationPatient is no direction");
    return {v[0] / length, v[1] / length, v[2] / length};
}

bool readOrientation(const DataSet& data, Frame& frame, const std::string& name) {
    const std::vector<double> values = decimals(data, kOrientation);
    if (values.size() != 6) return false;
    frame.alongRow = normalised({values[0], values[1], values[2]}, name);
    frame.alongColumn = normalised({values[3], values[4], values[5]}, name);
    const double cosine = frame.alongRow[0] * frame.alongColumn[0] + frame.alongRow[1] * frame.alongColumn[1] +
                          frame.alongRow[2] * frame.alongColumn[2];
    if (std::abs(cosine) > 0.01)
        throw DataError(name, "rows and columns of ImageOrientationPatient are not at right angles");
    return true;
}

bool readSpacing(const DataSet& data, const Tag& tag, Frame& frame) {
    const std::vector<double> values = decimals(data, tag);
    if (values.size() != 2 || !(values[0] > 0 && values[1] > 0)) return false;
    frame.rowSpacing = values[0];
    frame.columnSpacing = values[1];
    return true;
}

void readScaling(const DataSet& data, Frame& frame) {
    const auto slope = decimal(data, kSlope);
    if (slope && *slope != 0) frame.slope = *slope;
    frame.inter = decimal(data, kIntercept).value_or(frame.inter);
}

void readSliceDistance(const DataSet& data, DicomFile& file) {
    for (const Tag& tag : {kSpacingBetweenSlices, kSliceThickness})
        if (const auto distance = decimal(data, tag); distance && std::abs(*distance) > 0 && file.sliceDistance == 0)
            file.sliceDistance = std::abs(*distance);
}

/// The functional groups of enhanced images: the same modules as of plain images, one sequence deeper.
void readGroups(const DataSet& groups, Frame& frame, DicomFile& file) {
    const std::string name = file.path.string();
    if (readOrientation(firstItem(groups, kPlaneOrientation), frame, name)) file.hasOrientation = true;
    if (const auto position = vector3(firstItem(groups, kPlanePosition), kPosition)) frame.position = position;
    const DataSet measures = firstItem(groups, kPixelMeasures);
    readSpacing(measures, kPixelSpacing, frame);
    readSliceDistance(measures, file);
    readScaling(firstItem(groups, kValueTransformation), frame);
    const DataSet content = firstItem(groups, kFrameContent);
    if (const auto index = longs(content, kFrameTemporalIndex); !index.empty())
        frame.order[0] = static_cast<int>(index.front() & 0x7fffffff);
    frame.segment = unsignedShort(firstItem(groups, kSegmentIdentification), kSegmentNumber).value_or(frame.segment);
}

Frame readCommonFrame(const DataSet& data, DicomFile& file) {
    Frame frame;
    file.hasOrientation = readOrientation(data, frame, file.path.string());
    frame.position = vector3(data, kPosition);
    if (!readSpacing(data, kPixelSpacing, frame)) readSpacing(data, kImagerPixelSpacing, frame);
    readScaling(data, frame);
    if (const auto dose = decimal(data, kDoseScaling); dose && *dose > 0) frame.slope = *dose;
    frame.order = {integer(data, kTemporalIndex), integer(data, kAcquisitionNumber), integer(data, kInstanceNumber)};
    return frame;
}

/// Dose grids list the offsets of their frames along the normal.
void applyGridOffsets(const DataSet& data, DicomFile& file) {
    const std::vector<double> offsets = decimals(data, kGridOffsets);
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
    readGroups(firstItem(data, kSharedGroups), common, file);
    file.frames.assign(static_cast<std::size_t>(file.pixels.frames), common);
    const auto groups = sequence(data, kFrameGroups);
    const std::size_t described = groups ? std::min<std::size_t>(groups->GetNumberOfItems(), file.frames.size()) : 0;
    if (groups && described < file.frames.size())
        throw DataError(file.path.string(),
                        fmt::format("describes {} of its {} frames", described, file.frames.size()));
    for (std::size_t i = 0; i < file.frames.size(); ++i) {
        file.frames[i].index = static_cast<int>(i);
        if (i < described) readGroups(groups->GetItem(i + 1).GetNestedDataSet(), file.frames[i], file);
    }
    applyGridOffsets(data, file);
    // Frames without places of their own must not share that of the first.
    if (!groups && file.frames.size() > 1 && decimals(data, kGridOffsets).empty())
        for (Frame& frame : file.frames) frame.position.reset();
}

PixelLayout readPixelLayout(const DataSet& data, const std::string& name) {
    PixelLayout pixels;
    const auto rows = unsignedShort(data, kRows), columns = unsignedShort(data, kColumns);
    if (!rows || !columns) return pixels;
    pixels.rows = *rows;
    pixels.columns = *columns;
    const double frames = decimal(data, kFrames).value_or(1);
    if (pixels.rows == 0 || pixels.columns == 0 || !(frames >= 1 && frames <= kMaxFrames))
        throw DataError(name, fmt::format("claims {} x {} pixels in {} frames", *columns, *rows, frames));
    pixels.frames = static_cast<int>(frames);
    pixels.samples = unsignedShort(data, kSamples).value_or(1);
    pixels.bitsAllocated = unsignedShort(data, kBitsAllocated).value_or(16);
    pixels.bitsStored = unsignedShort(data, kBitsStored).value_or(pixels.bitsAllocated);
    pixels.isSigned = unsignedShort(data, kPixelRepresentation).value_or(0) == 1;
    pixels.photometric = text(data, kPhotometric);
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

std::unique_ptr<gdcm::Reader> openDicom(const fs::path& path, bool withPixels) {
    const std::string name = path.string();
    {
        const MappedFile file(path);  // also reports missing and unreadable files
        checkDicomLengths(file.bytes(), name);
    }
    auto reader = std::make_unique<gdcm::Reader>();
    bool read = false;
    try {
        std::ifstream stream(path, std::ios::binary);
        reader->SetStream(stream);
        read = withPixels ? reader->Read() : reader->ReadUpToTag(kFirstPixelElement);
    } catch (const std::exception&) {  // GDCM's messages name its own source lines
        read = false;
    }
    if (!read || reader->GetFile().GetDataSet().IsEmpty())
        throw DataError(name, "is damaged, truncated or not a DICOM file");
    return reader;
}

DicomFile describeDicom(const gdcm::File& source, const fs::path& path) {
    const DataSet& data = source.GetDataSet();
    DicomFile file;
    file.path = path;
    file.sopClass = text(data, kSopClass);
    file.sopInstance = text(data, kSopInstance);
    file.series = text(data, kSeries);
    const char* syntax = source.GetHeader().GetDataSetTransferSyntax().GetString();
    file.transferSyntax = syntax != nullptr ? syntax : "";
    file.modality = text(data, kModality);
    file.description = text(data, kSeriesDescription);
    file.seriesNumber = integer(data, kSeriesNumber);
    file.isMosaic = text(data, kImageType).find("MOSAIC") != std::string::npos;
    file.pixels = readPixelLayout(data, path.string());
    if (file.pixels.frames > 0) readFrames(data, file);
    return file;
}

DicomFile readDicomFile(const fs::path& path) {
    return describeDicom(openDicom(path, false)->GetFile(), path);
}

}  // namespace medseg::dicom
