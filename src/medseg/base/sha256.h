// SHA-256 (FIPS 180-4), for checking downloads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace medseg {

class Sha256 {
  public:
    void update(const void* data, std::size_t size);
    /// 64 hexadecimal digits, lower case. Ends the message.
    std::string finish();

  private:
    void block(const std::uint8_t* bytes);

    std::array<std::uint32_t, 8> state_{0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU,
                                        0x510e527fU, 0x9b05688cU, 0x1f83d9abU, 0x5be0cd19U};
    std::array<std::uint8_t, 64> pending_{};
    std::size_t pendingSize_ = 0;
    std::uint64_t total_ = 0;
};

/// Of a whole file. Throws DataError when it cannot be read.
std::string sha256OfFile(const std::filesystem::path& path);

}  // namespace medseg
