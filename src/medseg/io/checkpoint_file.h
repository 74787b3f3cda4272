// One door for every checkpoint format: the content decides, not the name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "medseg/io/pickle_value.h"
#include "medseg/io/state_dict.h"

namespace medseg {

struct Checkpoint {
    std::filesystem::path path;
    std::string format;    ///< "PyTorch zip archive", "safetensors" ...
    std::string version;   ///< of the format, may be empty
    std::string producer;  ///< what wrote it, as far as the file tells: "PyTorch 2.1 or later, Lightning 2.3.3"
    std::string archiveName;
    std::uint64_t fileSize = 0;
    PickleValue root;                             ///< everything inside; for safetensors a dict of tensors
    std::map<std::string, std::string> metadata;  ///< safetensors only
};

/// True if a file that starts with `start` (64 bytes are enough) may be a checkpoint: for telling files apart. Zip
/// archives count only when they hold a data.pkl, for which the whole file must be given.
bool looksLikeCheckpoint(const std::filesystem::path& path);

/// Opens a checkpoint; weights are mapped, not read. Throws DataError for anything that is none.
Checkpoint readCheckpoint(const std::filesystem::path& path);

/// The network's weights in it, see findStateDict().
FoundStateDict readStateDict(const std::filesystem::path& path, const std::string& entry = {});

struct DescribeOptions {
    bool statistics = false;  ///< min, max, mean and NaN counts of every tensor (reads the whole file)
};

/// All there is to say: path, format, version, producer, file_size, entries (what is beside the tensors), state_dict
/// (entry, stripped prefixes), tensors (name, dtype, shape, and with statistics min, max, mean, std, nan, inf), totals
/// (tensors, elements, bytes, by dtype), metadata, damaged_entries (with statistics: those whose checksum is wrong).
/// The tensors are all of the file's, with full names.
nlohmann::ordered_json describeCheckpoint(const Checkpoint& checkpoint, const DescribeOptions& options = {});

/// The same for people, several lines.
std::string formatCheckpointDescription(const nlohmann::ordered_json& description);

struct ConvertOptions {
    std::optional<TensorDtype> floatingDtype;  ///< F16, BF16 or F32 for all floating tensors
    std::string entry;                         ///< take this entry; empty = find the weights
    std::string stripPrefix;                   ///< remove from names, besides what findStateDict strips
};

struct ConvertResult {
    std::size_t tensorCount = 0;
    std::uint64_t bytes = 0;  ///< of the output file
    FoundStateDict source;    ///< tensors as written, before the change of type
};

/// Writes the weights of `input` alone, as a flat state dict, to `output`: safetensors if the name ends so, else a
/// PyTorch file (.pth, .pt, .ckpt, .bin). Throws UsageError for other endings, DataError for unusable input.
ConvertResult convertCheckpoint(const std::filesystem::path& input, const std::filesystem::path& output,
                                const ConvertOptions& options);

}  // namespace medseg
