// What NRRD and MetaImage have in common: lines of text, then voxels in the same file or in one beside it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "medseg/io/byte_source.h"
#include "medseg/io/image_file.h"
#include "medseg/io/raw_voxels.h"

namespace medseg {

/// Where the voxels lie and how.
struct VoxelPlace {
    std::filesystem::path file;
    std::uint64_t offset = 0;
    bool atEnd = false;  ///< the last bytes of the file; `offset` does not count
    ByteSource::Encoding encoding = ByteSource::Encoding::Plain;
    int skipLines = 0;            ///< lines before the voxels, after decompression
    std::uint64_t skipBytes = 0;  ///< bytes after those lines
};

struct TextHeaderImage {
    ImageHeader header;
    RawVoxels layout;
    VoxelPlace place;
    std::vector<std::pair<std::string, std::string>> metadata;  ///< keys that are not part of the format
};

/// The lines of `bytes` up to `maxBytes` (a header without an end is an error of the caller). Line ends \n or \r\n.
class LineReader {
  public:
    LineReader(ByteSpan bytes, std::string source) : bytes_(bytes), source_(std::move(source)) {}

    /// The next line without its end; nothing at the end of the file. Throws DataError on lines over 1 MiB.
    std::optional<std::string> next();
    std::size_t position() const { return position_; }

  private:
    ByteSpan bytes_;
    std::string source_;
    std::size_t position_ = 0;
};

std::string_view trimmed(std::string_view text);
/// Words between blanks.
std::vector<std::string_view> words(std::string_view text);
/// Every word as a number ("nan" too); throws DataError naming `what` otherwise.
std::vector<double> numbersIn(std::string_view text, const std::string& source, const std::string& what);
/// Sizes of all axes: positive integers whose product with `typeSize` stays below 2^62. Throws DataError.
std::vector<std::int64_t> sizesIn(std::string_view text, std::size_t typeSize, const std::string& source,
                                  const std::string& what);

/// The voxels' file that a header names: beside the header or below, never elsewhere. Throws DataError for absolute
/// paths, "..", links that lead out of the folder, and missing files.
std::filesystem::path dataFileBeside(const std::filesystem::path& header, const std::string& name);

/// Throws DataError.
AnyVolume readPlacedVoxels(const TextHeaderImage& image, const ReadOptions& options);

}  // namespace medseg
