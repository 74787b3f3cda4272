#include "medseg/io/npy_summary.h"

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/npy.h"
#include "medseg/io/npy_header.h"
#include "medseg/io/zip.h"

namespace medseg {
namespace {

ValueStatistics statisticsOfArray(const NpyArray& array) {
    const std::vector<double> values = array.toDoubles();
    if (values.empty()) return {};
    Volume<double> volume(Geometry({static_cast<std::int64_t>(values.size()), 1, 1}, identityAffine()));
    std::copy(values.begin(), values.end(), volume.data());
    return statisticsOf(AnyVolume(std::move(volume)));
}

}  // namespace

bool isArrayArchive(const std::filesystem::path& path) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) return false;
    const MappedFile file(path);
    return ZipReader::looksLikeZip(file.bytes()) || endsWithIgnoringCase(path.string(), ".npz");
}

std::vector<ArraySummary> summarizeArrays(const std::filesystem::path& path) {
    const NpzFile npz(path);
    std::vector<ArraySummary> summaries;
    for (const std::string& name : npz.names()) {
        ArraySummary summary;
        summary.name = name;
        const NpyHeader header = npz.header(name);
        summary.typeName = header.typeName();
        summary.shape = header.shape;
        try {
            if (header.isText())
                summary.text = npz.readText(name);
            else
                summary.statistics = statisticsOfArray(npz.read(name));
        } catch (const DataError& error) {
            summary.problem = error.what();
        }
        summaries.push_back(std::move(summary));
    }
    return summaries;
}

}  // namespace medseg
