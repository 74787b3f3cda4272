#include "medseg/io/dicom/dicom_elements.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include <gdcmByteValue.h>

#include "medseg/io/pickle_text.h"

namespace medseg::dicom {
namespace {

std::string_view rawValue(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    if (!data.FindDataElement(tag)) return {};
    const gdcm::ByteValue* value = data.GetDataElement(tag).GetByteValue();
    if (value == nullptr || value->GetPointer() == nullptr) return {};
    return {value->GetPointer(), value->GetLength()};
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kPadding(" \0\t\r\n", 5);
    const std::size_t first = text.find_first_not_of(kPadding);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kPadding) - first + 1);
}

template <typename T>
std::vector<T> binary(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    const std::string_view raw = rawValue(data, tag);
    std::vector<T> values(raw.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), raw.data(), values.size() * sizeof(T));
    return values;
}

}  // namespace

std::string text(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    return printableText(sanitisedUtf8(std::string(trimmed(rawValue(data, tag)))));
}

std::vector<double> decimals(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    std::string_view rest = rawValue(data, tag);
    std::vector<double> values;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\\'), rest.size());
        std::string_view one = trimmed(rest.substr(0, end));
        if (one.starts_with('+')) one.remove_prefix(1);
        double value = 0;
        const auto [last, error] = std::from_chars(one.data(), one.data() + one.size(), value);
        if (error != std::errc() || last != one.data() + one.size() || !std::isfinite(value)) return {};
        values.push_back(value);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return values;
}

std::optional<double> decimal(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    const std::vector<double> values = decimals(data, tag);
    return values.empty() ? std::nullopt : std::optional(values.front());
}

std::optional<Vec3> vector3(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    const std::vector<double> values = decimals(data, tag);
    if (values.size() != 3) return std::nullopt;
    return Vec3{values[0], values[1], values[2]};
}

std::vector<int> shorts(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    const auto values = binary<std::uint16_t>(data, tag);
    return {values.begin(), values.end()};
}

std::optional<int> unsignedShort(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    const std::vector<int> values = shorts(data, tag);
    return values.empty() ? std::nullopt : std::optional(values.front());
}

std::vector<std::uint32_t> longs(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    return binary<std::uint32_t>(data, tag);
}

gdcm::SmartPointer<gdcm::SequenceOfItems> sequence(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    if (!data.FindDataElement(tag)) return nullptr;
    return data.GetDataElement(tag).GetValueAsSQ();
}

gdcm::DataSet firstItem(const gdcm::DataSet& data, const gdcm::Tag& tag) {
    const auto items = sequence(data, tag);
    if (!items || items->GetNumberOfItems() == 0) return {};
    return items->GetItem(1).GetNestedDataSet();
}

}  // namespace medseg::dicom
