#include "medseg/io/checkpoint_file.h"

#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/io/zip.h"

namespace medseg {

namespace {

/// Training frameworks leave their marks in the entries.
std::string frameworkOf(const PickleValue& root) {
    const PickleValue* lightning = root.find("pytorch-lightning_version");
    if (lightning != nullptr && lightning->isString()) return "Lightning " + lightning->asString();
    const PickleValue* trainer = root.find("trainer_name");
    if (trainer != nullptr && trainer->isString() && root.find("network_weights") != nullptr)
        return "nnU-Net (" + trainer->asString() + ")";
    return {};
}

Checkpoint fromTorch(const fs::path& path) {
    TorchFile file = readTorchFile(path);
    Checkpoint checkpoint;
    checkpoint.format = torchFormatName(file.format);
    checkpoint.version = file.version;
    checkpoint.archiveName = file.archiveName;
    checkpoint.producer = file.producer;
    if (const std::string framework = frameworkOf(file.root); !framework.empty())
        checkpoint.producer += (checkpoint.producer.empty() ? "" : ", ") + framework;
    checkpoint.root = std::move(file.root);
    return checkpoint;
}

Checkpoint fromSafetensors(const fs::path& path) {
    SafetensorsFile file = readSafetensors(path);
    Checkpoint checkpoint;
    checkpoint.format = "safetensors";
    checkpoint.metadata = std::move(file.metadata);
    if (const auto producer = checkpoint.metadata.find("producer"); producer != checkpoint.metadata.end())
        checkpoint.producer = producer->second;
    checkpoint.root = PickleValue::stateDict(file.tensors);
    return checkpoint;
}

bool isZipWithPickle(const fs::path& path) {
    const ZipReader zip(path);
    for (const ZipEntry& entry : zip.entries())
        if (entry.name == "data.pkl" || std::string_view(entry.name).ends_with("/data.pkl")) return true;
    return false;
}

}  // namespace

bool looksLikeCheckpoint(const fs::path& path) {
    try {
        const MappedFile file(path);
        const auto bytes = file.bytes();
        if (ZipReader::looksLikeZip(bytes)) return isZipWithPickle(path);
        return looksLikeSafetensors(bytes) || looksLikeTorchFile(bytes);
    } catch (const DataError&) {
        return false;
    }
}

Checkpoint readCheckpoint(const fs::path& path) {
    bool isSafetensors = endsWithIgnoringCase(path.string(), ".safetensors");
    std::uint64_t size = 0;
    {
        const MappedFile file(path);
        size = file.bytes().size();
        if (looksLikeTorchFile(file.bytes())) {
            isSafetensors = false;
        } else if (looksLikeSafetensors(file.bytes())) {
            isSafetensors = true;
        } else if (!isSafetensors && size > 0) {
            throw DataError(path.string(),
                            "is no checkpoint: PyTorch (.pth, .pt, .ckpt) and safetensors files are known");
        }
    }
    Checkpoint checkpoint = isSafetensors ? fromSafetensors(path) : fromTorch(path);
    checkpoint.path = path;
    checkpoint.fileSize = size;
    return checkpoint;
}

FoundStateDict readStateDict(const fs::path& path, const std::string& entry) {
    return findStateDict(readCheckpoint(path).root, path.string(), entry);
}

}  // namespace medseg
