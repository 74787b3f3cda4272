// Image embeddings of a frozen encoder, kept on disk: fine-tuning a decoder then costs no encoder passes.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>

#include <torch/torch.h>

namespace medseg {

class EmbeddingStore {
  public:
    /// Uses `folder`, which is emptied first when it was written for other weights or images than `fingerprint` tells.
    EmbeddingStore(std::filesystem::path folder, const std::string& fingerprint);

    /// May be called beside get().
    bool contains(const std::string& name) const;
    /// The embedding kept under `name`, else that of compute(), which is then kept. Throws WorkError when it cannot be
    /// written.
    torch::Tensor get(const std::string& name, const std::function<torch::Tensor()>& compute);

  private:
    std::filesystem::path fileOf(const std::string& name) const;

    std::filesystem::path folder_;
    std::unordered_map<std::string, torch::Tensor> recent_;  ///< in memory, up to a limit
    std::size_t recentBytes_ = 0;
};

/// A hash of all weights of `network`, for fingerprints.
std::string weightsHash(const torch::nn::Module& network);

}  // namespace medseg
