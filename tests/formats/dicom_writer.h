// Small DICOM files for tests, written with GDCM.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <gdcmDataSet.h>
#include <gdcmSequenceOfItems.h>

#include "medseg/volume/geometry.h"

namespace medseg::test {

/// Elements with text and numbers, and sequences of further elements.
class Elements {
  public:
    Elements& text(std::uint16_t group, std::uint16_t element, const std::string& value);
    Elements& numbers(std::uint16_t group, std::uint16_t element, const std::vector<double>& values);
    Elements& shorts(std::uint16_t group, std::uint16_t element, const std::vector<std::uint16_t>& values);
    Elements& sequence(std::uint16_t group, std::uint16_t element, const std::vector<Elements>& items);
    Elements& bytes(std::uint16_t group, std::uint16_t element, const std::vector<std::uint8_t>& values);
    const gdcm::DataSet& data() const { return data_; }

  private:
    gdcm::DataSet data_;
};

constexpr const char* kCtClass = "1.2.840.10008.5.1.4.1.1.2";
constexpr const char* kEnhancedCtClass = "1.2.840.10008.5.1.4.1.1.2.1";
constexpr const char* kSegmentationClass = "1.2.840.10008.5.1.4.1.1.66.4";
constexpr const char* kStructureSetClass = "1.2.840.10008.5.1.4.1.1.481.3";

struct Slice {
    Vec3 position{0, 0, 0};  ///< LPS
    std::array<double, 6> orientation{1, 0, 0, 0, 1, 0};
    int columns = 6, rows = 4;
    double columnSpacing = 0.5, rowSpacing = 0.75;
    std::vector<std::uint16_t> pixels;  ///< rows one behind the other; empty: all `fill`
    std::uint16_t fill = 0;
    double slope = 1, inter = -1024;
    std::string series = "1.2.3.1", instance;  ///< empty: made from the file's name
    int seriesNumber = 1, instanceNumber = 1;
};

/// A CT slice of 12 of 16 bits, explicit little-endian.
void writeSlice(const std::filesystem::path& path, const Slice& slice);

/// Any other file.
void writeDicom(const std::filesystem::path& path, const std::string& sopClass, const std::string& instance,
                const Elements& elements);

/// `path` again, in another transfer syntax (a UID). Throws if GDCM cannot.
void recompress(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& syntax);

}  // namespace medseg::test
