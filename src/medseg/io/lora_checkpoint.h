// Low-rank adapters (Hu et al. 2021) as files: which layers get one, reading and writing them, merging them into the
// weights of a checkpoint without a network library. A layer y = W x + b becomes
// y = W x + b + (alpha / rank) B A x with A (rank, in) and B (out, rank).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/io/state_dict.h"

namespace medseg {

struct LoraSettings {
    int rank = 8;
    double alpha = 16;
    double dropout = 0;  ///< on the input of A, while training
    /// Names of layers to adapt: see pathMatches().
    std::vector<std::string> targets{"to_qkv", "to_q", "to_kv", "to_out"};
    std::vector<std::string> exclude;  ///< paths that match one of these get no adapter
    std::vector<std::string> train;    ///< further parameters that train with the adapters and are saved with them

    double scaling() const { return alpha / rank; }
};

/// Throws UsageError on settings out of range.
void checkLoraSettings(const LoraSettings& settings);

/// True if the components of `pattern` (separated by '.') occur one after another anywhere among those of `path`:
/// "to_qkv" and "self_attn.to_qkv.shape" both match "blocks.3.self_attn.to_qkv.shape". '*' in a component stands for
/// any text.
bool pathMatches(const std::string& path, const std::string& pattern);

struct LoraLayer {
    std::string path;  ///< of the layer, without ".weight"
    std::int64_t in = 0;
    std::int64_t out = 0;
};

/// The linear layers (names ending in ".weight" with two axes) that `settings` adapt, in the order of `tensors`.
std::vector<LoraLayer> loraLayers(const std::vector<ExpectedTensor>& tensors, const LoraSettings& settings);
/// Values in the adapters of these layers: the sum of rank (in + out).
std::int64_t loraValueCount(const std::vector<LoraLayer>& layers, int rank);

/// Everything that was trained, and nothing else.
struct LoraCheckpoint {
    LoraSettings settings;
    NamedTensors adapters;  ///< PATH.lora_A (rank, in) and PATH.lora_B (out, rank), in pairs
    NamedTensors trained;   ///< whole parameters that trained beside them, by full name
};

/// Reads what writeLoraCheckpoint() wrote, and what the Python trainer writes ("lora_state_dict" with rank and alpha in
/// "config"). Throws DataError: no adapters, unpaired ones, ranks that differ, no rank or alpha.
LoraCheckpoint readLoraCheckpoint(const std::filesystem::path& path);

/// "lora_state_dict", "trained_state_dict" and "lora_config" as a PyTorch file, or with a name ending in .safetensors
/// all tensors with the configuration as metadata. Atomic.
void writeLoraCheckpoint(const std::filesystem::path& path, const LoraCheckpoint& checkpoint);
/// The same entries added to a checkpoint that holds more.
void addLoraEntries(PickleValue& root, const LoraCheckpoint& checkpoint);

struct LoraMergeResult {
    std::size_t mergedLayers = 0;
    std::size_t replacedTensors = 0;
};

/// Writes `base` with W + (alpha / rank) B A in place of every adapted W, and with the trained parameters in place of
/// its own; all other entries of the file stay. Names in `adapters` may leave out a prefix of those in `base`
/// ("_base_models.generator.reverse_fn.backbone."). `output` may end in .safetensors (tensors only). Throws DataError
/// when a layer is missing, ambiguous or of another shape.
LoraMergeResult mergeLoraCheckpoint(const std::filesystem::path& base, const std::filesystem::path& adapters,
                                    const std::filesystem::path& output);

}  // namespace medseg
