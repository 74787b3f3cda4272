// PyTorch's checkpoint files (.pth, .pt, .ckpt), read and written without PyTorch and without running anything in them.
// Format: torch/serialization.py; a zip archive since 1.6 (data.pkl beside one stored entry for each storage), before
// that a sequence of pickles followed by the raw storages.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "medseg/io/pickle_value.h"

namespace medseg {

enum class TorchFormat { Zip, TorchScript, Legacy, PlainPickle };

/// "PyTorch zip archive", "TorchScript archive", "PyTorch file of before 1.6", "Python pickle".
const char* torchFormatName(TorchFormat format);

struct TorchFile {
    TorchFormat format = TorchFormat::Zip;
    PickleValue root;         ///< tensors lie in the mapped file, which they keep open
    std::string archiveName;  ///< zip: the folder inside the archive (the name the file had when it was saved)
    std::string version;      ///< zip: format version, "3"; legacy: protocol, "1001"
    std::string byteOrder = "little";
    std::string producer;  ///< as far as the file tells: "PyTorch 2.1 or later", "medseg 0.1.0"
};

/// True if the file starts like anything readTorchFile reads: zip with a data.pkl, legacy, or a plain pickle.
bool looksLikeTorchFile(std::span<const std::uint8_t> start);

/// Opens a checkpoint. Weights are not read but mapped: milliseconds for gigabytes. Throws DataError for missing,
/// damaged, or truncated files, other archives, and tensors that do not lie inside their storage.
TorchFile readTorchFile(const std::filesystem::path& path);

/// Entries of a zip checkpoint whose bytes do not match their checksum (reads the whole file); empty for a sound file
/// and for formats without checksums. torch.serialization.set_crc32_options(False) also leads to entries here.
std::vector<std::string> findChecksumMismatches(const std::filesystem::path& path);

struct TorchWriteOptions {
    /// All floating tensors are stored in this type; views keep sharing their storages.
    std::optional<TensorDtype> floatingDtype;
};

/// Writes a checkpoint that torch.load reads, with weights_only=True too (torch 1.13 accepts no floats there, 2.x
/// does): nested dicts, lists, tuples, None, bool, int, float, str, bytes and tensors of any strides; each storage is
/// written once however many tensors view it, straight from where it lies, without a copy. Atomic. Throws DataError for
/// opaque values, WorkError when writing fails.
void writeTorchFile(const std::filesystem::path& path, const PickleValue& root, const TorchWriteOptions& options = {});

}  // namespace medseg
