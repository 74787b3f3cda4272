// Facts about the arrays of an npz archive.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/io/image_summary.h"

namespace medseg {

struct ArraySummary {
    std::string name;
    std::string typeName;             ///< numpy's name, "object" for pickled objects
    std::vector<std::int64_t> shape;  ///< as numpy prints it
    ValueStatistics statistics;
    std::string text;     ///< of a single text; else empty
    std::string problem;  ///< why the values cannot be read (object array, damaged data); else empty
};

/// True for a zip archive of numpy arrays (also an empty or damaged one whose name ends in .npz). Throws DataError if
/// missing.
bool isArrayArchive(const std::filesystem::path& path);

/// Every array of the archive. Throws DataError when the archive itself is damaged.
std::vector<ArraySummary> summarizeArrays(const std::filesystem::path& path);

}  // namespace medseg
