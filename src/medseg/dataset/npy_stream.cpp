#include "medseg/dataset/npy_stream.h"

#include <fmt/format.h>

namespace medseg {
namespace {

/// numpy's format 1.0: magic, version, length, a Python dictionary padded so that the data start at a multiple of 64.
std::string npyHeaderText(NpyType type, const std::vector<std::int64_t>& shape) {
    const std::string name = npyTypeName(type);
    const std::size_t size = npyTypeSize(type);
    const char kind = name.starts_with("uint")    ? 'u'
                      : name.starts_with("int")   ? 'i'
                      : name.starts_with("float") ? 'f'
                                                  : 'b';
    std::string extents;
    for (const std::int64_t extent : shape) extents += fmt::format("{}, ", extent);
    if (shape.size() > 1) extents.resize(extents.size() - 2);
    std::string dictionary = fmt::format("{{'descr': '{}{}{}', 'fortran_order': False, 'shape': ({}), }}",
                                         size == 1 ? '|' : '<', kind, size, extents);
    constexpr std::size_t kPrefix = 10, kAlignment = 64;
    const std::size_t total = (kPrefix + dictionary.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
    dictionary.append(total - kPrefix - dictionary.size() - 1, ' ');
    dictionary += '\n';
    std::string header = "\x93NUMPY";
    header += '\x01';
    header += '\0';
    header += static_cast<char>(dictionary.size() & 0xff);
    header += static_cast<char>(dictionary.size() >> 8);
    return header + dictionary;
}

}  // namespace

NpyStream::NpyStream(const fs::path& path, NpyType type, const std::vector<std::int64_t>& shape) : file_(path) {
    file_.write(npyHeaderText(type, shape));
}

}  // namespace medseg
