// TensorBoard event files, written by hand: TFRecord frames around protobuf Event messages with scalar summaries.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace medseg {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4).
std::uint32_t crc32c(std::span<const std::uint8_t> bytes);

/// One file events.out.tfevents.SECONDS.medseg.PID in a folder; TensorBoard shows all files of a folder as one run. A
/// record: length (uint64, little endian), masked CRC-32C of the length, data, masked CRC-32C of the data.
class EventFile {
  public:
    /// Makes the folder; the file appears with the first record.
    explicit EventFile(const std::filesystem::path& folder);

    /// Appends one event with a value for each tag; values that are not finite are left out. `wallTime`: seconds since
    /// 1970. Throws WorkError when the file cannot be written.
    void addScalars(std::int64_t step, double wallTime, const std::vector<std::pair<std::string, double>>& scalars);

    const std::filesystem::path& path() const { return path_; }

  private:
    void append(const std::vector<std::uint8_t>& message);

    std::filesystem::path path_;
    bool started_ = false;
};

}  // namespace medseg
