// Safetensors files: a JSON header with names, types, shapes and offsets, then the tensors' bytes, little endian.
// Format: the safetensors specification of Hugging Face.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "medseg/io/tensor_record.h"

namespace medseg {

struct SafetensorsFile {
    NamedTensors tensors;                         ///< in the order of the header; they map the file and keep it open
    std::map<std::string, std::string> metadata;  ///< "__metadata__"
};

/// True if the file starts like safetensors: a header length and a JSON object.
bool looksLikeSafetensors(std::span<const std::uint8_t> start);

/// Maps a file. Throws DataError unless the header is sound: at most 100 MB, known types, no repeated name, and the
/// tensors fill the data part without gap or overlap.
SafetensorsFile readSafetensors(const std::filesystem::path& path);

struct SafetensorsOptions {
    std::map<std::string, std::string> metadata;
    /// All floating tensors are stored in this type.
    std::optional<TensorDtype> floatingDtype;
};

/// Atomically writes `tensors`, larger element types first so that all lie aligned, one at a time without a second copy
/// of the whole. Throws DataError for repeated names and types the format does not have, WorkError when writing fails.
void writeSafetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                      const SafetensorsOptions& options = {});

}  // namespace medseg
