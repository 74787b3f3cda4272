// Writing the weights of one checkpoint in another format.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/version.h"
#include "medseg/io/checkpoint_file.h"
#include "medseg/io/pickle_text.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/torch_checkpoint.h"

namespace medseg {

namespace {

constexpr std::string_view kTorchEndings[] = {".pth", ".pt", ".ckpt", ".bin"};

bool isTorchName(const fs::path& path) {
    return std::any_of(std::begin(kTorchEndings), std::end(kTorchEndings),
                       [&](std::string_view ending) { return endsWithIgnoringCase(path.string(), ending); });
}

/// Tensors that are alone on a storage larger than themselves get one of their own size: a view of a big tensor must
/// not drag all of it into the output.
void dropUnusedStorage(NamedTensors& tensors) {
    std::map<const TensorStorage*, int> views;
    for (const auto& [name, tensor] : tensors) ++views[tensor.storage.get()];
    for (auto& [name, tensor] : tensors) {
        if (views[tensor.storage.get()] > 1 || tensor.storage->bytes.size() == tensor.byteCount()) continue;
        const TensorRecord packed = tensor.contiguous();
        TensorRecord own = TensorRecord::over(packed.dtype, packed.shape, packed.packedBytes(), packed.storage);
        own.isParameter = tensor.isParameter;
        tensor = std::move(own);
    }
}

void requireUniqueNames(const NamedTensors& tensors, const std::string& source) {
    std::map<std::string_view, int> counts;
    for (const auto& [name, tensor] : tensors)
        if (++counts[name] > 1)
            throw DataError(source,
                            fmt::format("two tensors are named {} after renaming", printableText(std::string(name))));
}

}  // namespace

ConvertResult convertCheckpoint(const fs::path& input, const fs::path& output, const ConvertOptions& options) {
    const bool toSafetensors = endsWithIgnoringCase(output.string(), ".safetensors");
    if (!toSafetensors && !isTorchName(output))
        throw UsageError(
            fmt::format("{}: unknown ending: use .safetensors, .pth, .pt, .ckpt or .bin", output.string()));
    const Checkpoint checkpoint = readCheckpoint(input);
    ConvertResult result;
    result.source = findStateDict(checkpoint.root, input.string(), options.entry);
    NamedTensors& tensors = result.source.tensors;
    if (!options.stripPrefix.empty()) tensors = withoutPrefix(std::move(tensors), options.stripPrefix);
    requireUniqueNames(tensors, input.string());
    if (toSafetensors) {
        SafetensorsOptions writing;
        writing.floatingDtype = options.floatingDtype;
        writing.metadata = checkpoint.metadata;
        writing.metadata["format"] = "pt";
        writing.metadata["producer"] = fmt::format("medseg {}", version());
        writeSafetensors(output, tensors, writing);
    } else {
        dropUnusedStorage(tensors);
        writeTorchFile(output, PickleValue::stateDict(tensors), {options.floatingDtype});
    }
    result.tensorCount = tensors.size();
    result.bytes = fs::file_size(output);
    return result;
}

}  // namespace medseg
