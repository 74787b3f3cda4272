// Facts about an image file: what `medseg info` prints.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "medseg/io/image_file.h"

namespace medseg {

/// Over the finite values after slope and inter, summed in double, independent of the number of threads.
struct ValueStatistics {
    std::int64_t finiteCount = 0;
    std::int64_t nonFiniteCount = 0;
    double min = 0, max = 0, mean = 0;  ///< meaningless when finiteCount is 0
};

ValueStatistics statisticsOf(const AnyVolume& stored, double slope = 1, double inter = 0);

struct LabelSummary {
    int id = 0;
    std::string name;  ///< "background" for 0; from the file, else "label_<id>"
    std::int64_t voxels = 0;
    double millilitres = 0;
};

/// True for a volume that is taken for a segmentation: an integer type without scaling, values from 0 to 65535, and
/// either `header` carries label names, or there are at most 64 distinct values, or at most 256 and at least half of
/// the neighbours along x are equal (a photograph or CT has noise, a segmentation has regions).
bool looksLikeLabelMap(const ImageHeader& header, const AnyVolume& stored);

struct ImageSummary {
    ImageHeader header;
    ValueStatistics statistics;  ///< of all volumes of a 4D file, or of the chosen one
    std::vector<LabelSummary>
        labels;  ///< the labels present, in ascending id; empty unless the file looks like a label map
};

/// Reads and summarises a file that readStoredImage can read; without a volume index, all volumes. Throws DataError.
ImageSummary summarizeImage(const std::filesystem::path& path, ReadOptions options = {});

}  // namespace medseg
