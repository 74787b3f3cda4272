#include "medseg/io/dicom/compressed_pixels.h"

#include <cstring>

#include <fmt/format.h>
#include <gdcmImage.h>
#include <gdcmSequenceOfFragments.h>
#include <gdcmTransferSyntax.h>

#include "medseg/base/error.h"
#include "medseg/io/dicom/dicom_pixels.h"

namespace medseg::dicom {
namespace {

/// What the copy of the process reports, in front of the pixels.
struct Report {
    std::int32_t bits = 0;
    std::int32_t isSigned = 0;
};

/// GDCM's own working memory: the compressed bytes, and several times the pixels.
constexpr std::size_t kBaseMemory = std::size_t{1} << 30, kWorkingCopies = 12;

gdcm::DataElement encapsulated(const std::vector<ByteSpan>& fragments) {
    const gdcm::SmartPointer<gdcm::SequenceOfFragments> sequence = new gdcm::SequenceOfFragments;
    const auto chars = [](ByteSpan bytes) { return reinterpret_cast<const char*>(bytes.data()); };
    if (!fragments.front().empty())
        sequence->GetTable().SetByteValue(chars(fragments.front()),
                                          static_cast<std::uint32_t>(fragments.front().size()));
    for (std::size_t i = 1; i < fragments.size(); ++i) {
        gdcm::Fragment fragment;
        fragment.SetByteValue(chars(fragments[i]), static_cast<std::uint32_t>(fragments[i].size()));
        sequence->AddFragment(fragment);
    }
    gdcm::DataElement element(gdcm::Tag(0x7fe0, 0x0010), 0, gdcm::VR::OB);
    element.SetValue(*sequence);
    return element;
}

bool decodeInto(std::span<std::uint8_t> output, const DicomFile& file, const std::vector<ByteSpan>& fragments) {
    const PixelLayout& pixels = file.pixels;
    gdcm::Image image;
    image.SetNumberOfDimensions(pixels.frames > 1 ? 3 : 2);
    image.SetDimension(0, static_cast<unsigned>(pixels.columns));
    image.SetDimension(1, static_cast<unsigned>(pixels.rows));
    if (pixels.frames > 1) image.SetDimension(2, static_cast<unsigned>(pixels.frames));
    image.SetPixelFormat(gdcm::PixelFormat(1, static_cast<std::uint16_t>(pixels.bitsAllocated),
                                           static_cast<std::uint16_t>(pixels.bitsStored),
                                           static_cast<std::uint16_t>(pixels.bitsStored - 1), pixels.isSigned ? 1 : 0));
    image.SetPhotometricInterpretation(gdcm::PhotometricInterpretation::GetPIType(pixels.photometric.c_str()));
    image.SetTransferSyntax(gdcm::TransferSyntax::GetTSType(file.transferSyntax.c_str()));
    image.SetDataElement(encapsulated(fragments));
    if (image.GetBufferLength() != output.size() - sizeof(Report)) return false;
    if (!image.GetBuffer(reinterpret_cast<char*>(output.data() + sizeof(Report)))) return false;
    // The codec may know better than the header.
    const gdcm::PixelFormat& format = image.GetPixelFormat();
    if (format.GetSamplesPerPixel() != 1) return false;
    const Report report{format.GetBitsAllocated(), format.GetPixelRepresentation()};
    std::memcpy(output.data(), &report, sizeof(report));
    return true;
}

}  // namespace

DecodedPixels decodeCompressed(const DicomFile& file, const Element& pixelData) {
    const std::string name = file.path.string();
    const PixelLayout& pixels = file.pixels;
    const std::vector<ByteSpan> fragments = fragmentsOf(pixelData, name);
    if (fragments.size() < 2) throw DataError(name, "truncated: its compressed pixel data are empty");
    if (gdcm::TransferSyntax::GetTSType(file.transferSyntax.c_str()) == gdcm::TransferSyntax::TS_END)
        throw DataError(name, fmt::format("pixel data in transfer syntax {} are not supported", file.transferSyntax));
    const std::size_t bytes = static_cast<std::size_t>(pixels.rows) * static_cast<std::size_t>(pixels.columns) *
                              static_cast<std::size_t>(pixels.frames) *
                              static_cast<std::size_t>(pixels.bitsAllocated / 8);
    DecodedPixels decoded{std::make_unique<SharedMemory>(sizeof(Report) + bytes)};
    const auto output = decoded.memory->bytes();
    Report report;
    if (runIsolated([&] { return decodeInto(output, file, fragments); }, kBaseMemory + kWorkingCopies * bytes))
        std::memcpy(&report, output.data(), sizeof(report));
    decoded.bits = report.bits;
    decoded.isSigned = report.isSigned != 0;
    // A codec that found fewer bits than the header claims has filled less of the memory, never more.
    if (report.bits != 8 && report.bits != 16 && report.bits != 32)
        throw DataError(name, fmt::format("its pixel data ({}) cannot be decoded: damaged or truncated",
                                          transferSyntaxName(file.transferSyntax)));
    if (report.bits > pixels.bitsAllocated)
        throw DataError(name, "its compressed pixels have more bits than its header says");
    decoded.offset = sizeof(Report);
    return decoded;
}

}  // namespace medseg::dicom
