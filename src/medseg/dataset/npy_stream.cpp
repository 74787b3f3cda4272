#include "medseg/dataset/npy_stream.h"

#include "medseg/io/npy_header.h"

namespace medseg {

NpyStream::NpyStream(const fs::path& path, NpyType type, const std::vector<std::int64_t>& shape) : file_(path) {
    file_.write(npyHeaderText(type, shape));
}

}  // namespace medseg
