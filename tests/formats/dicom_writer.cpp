#include "dicom_writer.h"

#include <stdexcept>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gdcmDict.h>
#include <gdcmDicts.h>
#include <gdcmGlobal.h>
#include <gdcmImageChangeTransferSyntax.h>
#include <gdcmImageReader.h>
#include <gdcmImageWriter.h>
#include <gdcmWriter.h>

namespace medseg::test {
namespace {

gdcm::VR representationOf(const gdcm::Tag& tag) {
    const gdcm::VR vr = gdcm::Global::GetInstance().GetDicts().GetDictEntry(tag).GetVR();
    return vr == gdcm::VR::US_SS ? gdcm::VR(gdcm::VR::US) : vr == gdcm::VR::OB_OW ? gdcm::VR(gdcm::VR::OW) : vr;
}

void insert(gdcm::DataSet& data, const gdcm::Tag& tag, const std::string& bytes) {
    gdcm::DataElement element(tag);
    element.SetVR(representationOf(tag));
    element.SetByteValue(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
    data.Replace(element);
}

}  // namespace

Elements& Elements::text(std::uint16_t group, std::uint16_t element, const std::string& value) {
    const gdcm::Tag tag(group, element);
    const bool isUid = representationOf(tag) == gdcm::VR::UI;
    insert(data_, tag, value.size() % 2 == 0 ? value : value + (isUid ? '\0' : ' '));
    return *this;
}

Elements& Elements::numbers(std::uint16_t group, std::uint16_t element, const std::vector<double>& values) {
    return text(group, element, fmt::format("{:.10g}", fmt::join(values, "\\")));
}

Elements& Elements::shorts(std::uint16_t group, std::uint16_t element, const std::vector<std::uint16_t>& values) {
    insert(data_, {group, element}, {reinterpret_cast<const char*>(values.data()), values.size() * 2});
    return *this;
}

Elements& Elements::bytes(std::uint16_t group, std::uint16_t element, const std::vector<std::uint8_t>& values) {
    std::string text(values.begin(), values.end());
    if (text.size() % 2 != 0) text.push_back('\0');
    insert(data_, {group, element}, text);
    return *this;
}

Elements& Elements::sequence(std::uint16_t group, std::uint16_t element, const std::vector<Elements>& items) {
    gdcm::SmartPointer<gdcm::SequenceOfItems> sequence = new gdcm::SequenceOfItems;
    sequence->SetLengthToUndefined();
    for (const Elements& elements : items) {
        gdcm::Item item;
        item.SetVLToUndefined();
        item.SetNestedDataSet(elements.data());
        sequence->AddItem(item);
    }
    gdcm::DataElement entry(gdcm::Tag(group, element));
    entry.SetVR(gdcm::VR::SQ);
    entry.SetValue(*sequence);
    entry.SetVLToUndefined();
    data_.Replace(entry);
    return *this;
}

void writeDicom(const std::filesystem::path& path, const std::string& sopClass, const std::string& instance,
                const Elements& elements) {
    gdcm::Writer writer;
    Elements all = elements;
    all.text(0x0008, 0x0016, sopClass).text(0x0008, 0x0018, instance);
    writer.GetFile().SetDataSet(all.data());
    gdcm::FileMetaInformation& meta = writer.GetFile().GetHeader();
    meta.SetDataSetTransferSyntax(gdcm::TransferSyntax::ExplicitVRLittleEndian);
    writer.SetFileName(path.c_str());
    if (!writer.Write()) throw std::runtime_error("cannot write " + path.string());
}

void writeSlice(const std::filesystem::path& path, const Slice& slice) {
    std::vector<std::uint16_t> pixels = slice.pixels;
    pixels.resize(static_cast<std::size_t>(slice.columns * slice.rows), slice.fill);
    std::string instance = slice.instance;
    if (instance.empty()) {
        instance = "1.2.3.9";
        for (const char c : path.filename().string()) instance += fmt::format(".{}", static_cast<int>(c));
    }
    Elements elements;
    elements.text(0x0008, 0x0060, "CT")
        .text(0x0008, 0x103e, "test series")
        .text(0x0020, 0x000d, "1.2.3")
        .text(0x0020, 0x000e, slice.series)
        .numbers(0x0020, 0x0011, {static_cast<double>(slice.seriesNumber)})
        .numbers(0x0020, 0x0013, {static_cast<double>(slice.instanceNumber)})
        .numbers(0x0020, 0x0032, {slice.position.begin(), slice.position.end()})
        .numbers(0x0020, 0x0037, {slice.orientation.begin(), slice.orientation.end()})
        .numbers(0x0018, 0x0050, {9})  // a slice thickness that is not the distance
        .shorts(0x0028, 0x0002, {1})
        .text(0x0028, 0x0004, "MONOCHROME2")
        .shorts(0x0028, 0x0010, {static_cast<std::uint16_t>(slice.rows)})
        .shorts(0x0028, 0x0011, {static_cast<std::uint16_t>(slice.columns)})
        .numbers(0x0028, 0x0030, {slice.rowSpacing, slice.columnSpacing})
        .shorts(0x0028, 0x0100, {16})
        .shorts(0x0028, 0x0101, {12})
        .shorts(0x0028, 0x0102, {11})
        .shorts(0x0028, 0x0103, {0})
        .numbers(0x0028, 0x1052, {slice.inter})
        .numbers(0x0028, 0x1053, {slice.slope})
        .shorts(0x7fe0, 0x0010, pixels);
    writeDicom(path, kCtClass, instance, elements);
}

void recompress(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& syntax) {
    gdcm::ImageReader reader;
    reader.SetFileName(from.c_str());
    if (!reader.Read()) throw std::runtime_error("cannot read " + from.string());
    gdcm::ImageChangeTransferSyntax change;
    change.SetTransferSyntax(gdcm::TransferSyntax(gdcm::TransferSyntax::GetTSType(syntax.c_str())));
    change.SetInput(reader.GetImage());
    if (!change.Change()) throw std::runtime_error("cannot recompress to " + syntax);
    gdcm::ImageWriter writer;
    writer.SetFile(reader.GetFile());
    writer.SetImage(change.GetOutput());
    writer.SetFileName(to.c_str());
    if (!writer.Write()) throw std::runtime_error("cannot write " + to.string());
}

}  // namespace medseg::test
