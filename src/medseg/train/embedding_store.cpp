#include "medseg/train/embedding_store.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/npy.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {
namespace {

constexpr std::size_t kMemoryLimit = std::size_t{1} << 30;

torch::Tensor readEmbedding(const fs::path& file) {
    const NpyArray array = readNpy(file);
    if (array.type != NpyType::F32 || array.shape.size() != 4)
        throw DataError(file.string(), "not a kept embedding: remove the folder");
    return torch::from_blob(const_cast<std::uint8_t*>(array.bytes.data()), array.shape, torch::kFloat).clone();
}

}  // namespace

EmbeddingStore::EmbeddingStore(fs::path folder, const std::string& fingerprint) : folder_(std::move(folder)) {
    const fs::path mark = folder_ / "fingerprint.txt";
    if (fs::exists(mark) && readTextFile(mark) == fingerprint) return;
    fs::remove_all(folder_);
    createDirectories(folder_);
    writeTextFile(mark, fingerprint);
}

fs::path EmbeddingStore::fileOf(const std::string& name) const {
    return folder_ / (name + ".npy");
}

bool EmbeddingStore::contains(const std::string& name) const {
    return fs::exists(fileOf(name));
}

torch::Tensor EmbeddingStore::get(const std::string& name, const std::function<torch::Tensor()>& compute) {
    if (const auto found = recent_.find(name); found != recent_.end()) return found->second;
    torch::Tensor embedding;
    if (fs::exists(fileOf(name))) {
        embedding = readEmbedding(fileOf(name));
    } else {
        embedding = compute().detach().to(torch::kCPU, torch::kFloat).contiguous();
        writeNpy(fileOf(name), NpyArray::of(embedding.sizes().vec(), embedding.data_ptr<float>()));
    }
    if (recentBytes_ + embedding.nbytes() <= kMemoryLimit) {
        recent_.emplace(name, embedding);
        recentBytes_ += embedding.nbytes();
    }
    return embedding;
}

std::string weightsHash(const torch::nn::Module& network) {
    std::uint64_t hash = 0;
    for (const auto& [name, tensor] : namedState(network)) {
        const torch::Tensor values = tensor.detach().to(torch::kCPU).contiguous();
        hash = XXH3_64bits_withSeed(values.data_ptr(), values.nbytes(), hash ^ XXH3_64bits(name.data(), name.size()));
    }
    return fmt::format("{:016x}", hash);
}

}  // namespace medseg
