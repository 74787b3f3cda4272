#include "medseg/io/text_header.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

constexpr std::size_t kMaxLine = std::size_t{1} << 20;
constexpr std::string_view kBlanks = " \t\r\n";

/// Leaves `source` behind the lines and bytes that precede the voxels.
void skipPreamble(ByteSource& source, const VoxelPlace& place, const std::string& name) {
    for (int line = 0; line < place.skipLines; ++line)
        for (std::uint8_t byte = 0; byte != '\n';)
            if (source.read({&byte, 1}) == 0) throw DataError(name, "truncated: lines before the voxels are missing");
    if (source.skip(place.skipBytes) < place.skipBytes)
        throw DataError(name, "truncated: bytes before the voxels are missing");
}

std::uint64_t bytesOf(const RawVoxels& layout) {
    return static_cast<std::uint64_t>(layout.geometry.voxelCount() * layout.volumeCount()) * voxelTypeSize(layout.type);
}

}  // namespace

std::optional<std::string> LineReader::next() {
    if (position_ >= bytes_.size()) return std::nullopt;
    const ByteSpan rest = bytes_.subspan(position_, std::min(kMaxLine, bytes_.size() - position_));
    const auto end = std::find(rest.begin(), rest.end(), std::uint8_t{'\n'});
    if (end == rest.end() && rest.size() == kMaxLine) throw DataError(source_, "its header has a line without end");
    std::string line(rest.begin(), end);
    position_ += line.size() + (end == rest.end() ? 0 : 1);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return line;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string_view> words(std::string_view text) {
    std::vector<std::string_view> found;
    for (text = trimmed(text); !text.empty(); text = trimmed(text)) {
        const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
        found.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
    return found;
}

std::vector<double> numbersIn(std::string_view text, const std::string& source, const std::string& what) {
    std::vector<double> values;
    for (std::string_view word : words(text)) {
        const std::string_view shown = word;
        if (word.starts_with('+')) word.remove_prefix(1);
        double value = 0;
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        if (error != std::errc() || end != word.data() + word.size())
            throw DataError(source, fmt::format("{}: \"{}\" is not a number", what, shown.substr(0, 40)));
        values.push_back(value);
    }
    return values;
}

std::vector<std::int64_t> sizesIn(std::string_view text, std::size_t typeSize, const std::string& source,
                                  const std::string& what) {
    constexpr double kMost = 4.6e18;
    std::vector<std::int64_t> sizes;
    double product = static_cast<double>(typeSize);
    for (const double value : numbersIn(text, source, what)) {
        product *= value;
        if (!(value >= 1) || value != std::floor(value) || !(product < kMost))
            throw DataError(source, fmt::format("{}: impossible size {}", what, trimmed(text).substr(0, 80)));
        sizes.push_back(static_cast<std::int64_t>(value));
    }
    return sizes;
}

fs::path dataFileBeside(const fs::path& header, const std::string& name) {
    const std::string source = header.string();
    const fs::path relative = name;
    const bool climbs =
        std::any_of(relative.begin(), relative.end(), [](const fs::path& part) { return part == ".."; });
    if (relative.empty() || relative.is_absolute() || climbs)
        throw DataError(source, fmt::format("names a data file outside its folder ({}): only files beside it are read",
                                            name.substr(0, 200)));
    const fs::path folder = header.has_parent_path() ? header.parent_path() : fs::path(".");
    const fs::path file = folder / relative;
    std::error_code error;
    if (!fs::is_regular_file(file, error))
        throw DataError(source, fmt::format("its data file {} is missing", file.string()));
    const fs::path inside = fs::relative(fs::canonical(file), fs::canonical(folder), error);
    if (error || inside.empty() || *inside.begin() == "..")
        throw DataError(source, fmt::format("its data file {} is a link that leads out of the folder", file.string()));
    return file;
}

AnyVolume readPlacedVoxels(const TextHeaderImage& image, const ReadOptions& options) {
    const VoxelPlace& place = image.place;
    const std::string name = place.file.string();
    std::uint64_t offset = place.offset;
    if (place.atEnd) {
        const std::uint64_t size = fs::file_size(place.file), needed = bytesOf(image.layout);
        if (size < needed)
            throw DataError(name, fmt::format("truncated: the voxels need {} bytes, the file holds {}", needed, size));
        offset = size - needed;
    }
    ByteSource source(place.file, offset, place.encoding);
    if (!place.atEnd) skipPreamble(source, place, name);
    return readRawVoxels(source, image.layout, options.volumeIndex, options.stackVolumes, name);
}

}  // namespace medseg
