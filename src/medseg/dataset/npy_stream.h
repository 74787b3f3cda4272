// Writing a .npy array piece by piece.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "medseg/base/files.h"
#include "medseg/io/npy.h"

namespace medseg {

/// An array whose elements arrive in C order; the file appears under its name with commit(), whole or not at all.
class NpyStream {
  public:
    /// Throws WorkError when the file cannot be written.
    NpyStream(const std::filesystem::path& path, NpyType type, const std::vector<std::int64_t>& shape);

    template <typename T>
    void append(const T* values, std::int64_t count) {
        file_.write(values, static_cast<std::size_t>(count) * sizeof(T));
    }
    void commit() { file_.commit(); }

  private:
    AtomicFile file_;
};

}  // namespace medseg
