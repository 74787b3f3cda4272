// Values out of GDCM's data sets, whatever their encoding.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <gdcmDataSet.h>
#include <gdcmSequenceOfItems.h>
#include <gdcmTag.h>

#include "medseg/volume/geometry.h"

namespace medseg::dicom {

/// Text without padding, printable; empty when missing. Several values stay joined by '\'.
std::string text(const gdcm::DataSet& data, const gdcm::Tag& tag);
/// Numbers written as text (DS, IS); empty when missing or malformed.
std::vector<double> decimals(const gdcm::DataSet& data, const gdcm::Tag& tag);
std::optional<double> decimal(const gdcm::DataSet& data, const gdcm::Tag& tag);
/// Three decimals, else nothing.
std::optional<Vec3> vector3(const gdcm::DataSet& data, const gdcm::Tag& tag);
/// US, in the byte order that GDCM leaves in memory.
std::vector<int> shorts(const gdcm::DataSet& data, const gdcm::Tag& tag);
std::optional<int> unsignedShort(const gdcm::DataSet& data, const gdcm::Tag& tag);
/// UL.
std::vector<std::uint32_t> longs(const gdcm::DataSet& data, const gdcm::Tag& tag);

/// A sequence; null when missing.
gdcm::SmartPointer<gdcm::SequenceOfItems> sequence(const gdcm::DataSet& data, const gdcm::Tag& tag);
/// The first item of a sequence; empty when there is none.
gdcm::DataSet firstItem(const gdcm::DataSet& data, const gdcm::Tag& tag);

}  // namespace medseg::dicom
