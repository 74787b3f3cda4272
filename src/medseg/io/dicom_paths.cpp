#include "medseg/io/dicom_paths.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"

namespace medseg {
namespace {

constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxFiles = 200'000;
constexpr std::size_t kMarkOffset = 128;
constexpr std::string_view kMark = "DICM", kIndexName = "DICOMDIR";

bool hasMark(const fs::path& path) {
    std::array<char, kMarkOffset + kMark.size()> start{};
    std::ifstream file(path, std::ios::binary);
    return file.read(start.data(), start.size()) && std::string_view(start.data() + kMarkOffset, kMark.size()) == kMark;
}

struct Entries {
    std::vector<fs::path> files, folders;
};

Entries entriesOf(const fs::path& folder) {
    Entries entries;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
        if (it->path().filename().string().starts_with('.')) continue;
        std::error_code unreadable;
        if (it->is_regular_file(unreadable)) {
            entries.files.push_back(it->path());
        } else if (it->is_directory(unreadable) && !it->is_symlink(unreadable)) {
            entries.folders.push_back(it->path());
        }
    }
    if (error) throw DataError(folder.string(), "cannot be listed: " + error.message());
    std::sort(entries.files.begin(), entries.files.end());
    std::sort(entries.folders.begin(), entries.folders.end());
    return entries;
}

bool isListed(const fs::path& file) {
    return file.filename() != kIndexName && isDicomFile(file);
}

void collect(const fs::path& folder, int depth, std::vector<fs::path>& found) {
    throwIfInterrupted();
    const Entries entries = entriesOf(folder);
    std::copy_if(entries.files.begin(), entries.files.end(), std::back_inserter(found), isListed);
    if (found.size() > kMaxFiles) throw DataError(folder.string(), "holds over 200000 DICOM files: name one series");
    if (depth == 0 && !found.empty()) return;
    if (depth < kMaxDepth)
        for (const fs::path& sub : entries.folders) collect(sub, depth + 1, found);
}

bool holdsDicom(const fs::path& folder, int depth) {
    const Entries entries = entriesOf(folder);
    if (std::any_of(entries.files.begin(), entries.files.end(), isListed)) return true;
    return depth < kMaxDepth && std::any_of(entries.folders.begin(), entries.folders.end(),
                                            [&](const fs::path& sub) { return holdsDicom(sub, depth + 1); });
}

bool isDirectory(const fs::path& path) {
    std::error_code error;
    return fs::is_directory(path, error);
}

}  // namespace

bool isDicomFile(const fs::path& path) {
    const std::string name = path.filename().string();
    return endsWithIgnoringCase(name, ".dcm") || endsWithIgnoringCase(name, ".ima") || hasMark(path);
}

std::vector<fs::path> dicomFilesIn(const fs::path& folder) {
    std::vector<fs::path> found;
    collect(folder, 0, found);
    return found;
}

bool isDicomFolder(const fs::path& folder) {
    if (!isDirectory(folder)) return false;
    const Entries entries = entriesOf(folder);
    return std::any_of(entries.files.begin(), entries.files.end(), isListed);
}

bool holdsDicom(const fs::path& folder) {
    return isDirectory(folder) && holdsDicom(folder, 0);
}

std::optional<DicomSeriesPath> asDicomSeriesPath(const fs::path& path) {
    std::error_code error;
    const std::string name = path.filename().string();
    const bool numeric = !name.empty() && name.find_first_not_of("0123456789.") == std::string::npos;
    if (!numeric || name.front() == '.' || fs::exists(path, error)) return std::nullopt;
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (!holdsDicom(folder)) return std::nullopt;
    return DicomSeriesPath{folder, name};
}

}  // namespace medseg
