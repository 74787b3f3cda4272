// The structure generator of SAM 3D Objects: a transformer with one stream of weights for the shape and one for the
// pose, which predicts the velocity of a flow from noise (time 0) to a latent (time 1). The shape stream sees only
// itself and the condition; the pose stream also sees the shape. Parameters carry the names below
// "_base_models.generator.reverse_fn.backbone." in ss_generator.ckpt.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/flow_layers.h"

namespace medseg {

/// The name of the latent, and of the stream, that holds the structure.
inline constexpr const char* kShapeLatent = "shape";

struct FlowLatent {
    std::string name;
    std::int64_t channels = 0;
    std::int64_t tokens = 0;
    std::string stream;  ///< whose weights its tokens use
};

struct StructureFlowShape {
    std::int64_t width = 1024;
    std::int64_t conditionWidth = 1024;
    std::int64_t blocks = 24;
    std::int64_t heads = 16;
    std::int64_t mlpRatio = 4;
    std::int64_t resolution = 16;  ///< the shape has resolution^3 tokens
    std::int64_t timeFeatures = 256;
    bool headNorm = true;       ///< of queries and keys in self-attention
    bool stepEmbedding = true;  ///< a shortcut model: the step size is embedded like the time
    /// In the order of their tokens within a stream; the shape alone when pose is not modelled.
    std::vector<FlowLatent> latents;

    /// Streams in the order in which their latents first occur, the shape first.
    std::vector<std::string> streams() const;
};

/// The five latents of the release: the shape and four of the pose, which share a stream.
std::vector<FlowLatent> releasedLatents(std::int64_t resolution, std::int64_t shapeChannels = 8);
/// The shape alone.
std::vector<FlowLatent> shapeLatentOnly(std::int64_t resolution, std::int64_t shapeChannels = 8);

/// Latent name -> (batch, tokens, channels).
using FlowState = std::map<std::string, torch::Tensor>;

/// Keys and values of the condition in every block, stream -> layer; computed once for all sampling steps.
struct FlowCondition {
    std::vector<std::map<std::string, KeysValues>> blocks;
};

class FlowBlockImpl;

class StructureFlowImpl : public torch::nn::Module {
  public:
    /// Throws UsageError on a shape that cannot be (no shape latent, heads that do not divide the width).
    explicit StructureFlowImpl(const StructureFlowShape& shape);

    const StructureFlowShape& shape() const { return shape_; }

    /// tokens: (batch, n, condition width), for the streams of the latents in `withPose ? all : shape only`.
    FlowCondition prepareCondition(const torch::Tensor& tokens, bool withPose);
    /// What the released model takes for "no condition": tokens multiplied by 0. One token stands for all, because
    /// attention to equal tokens does not depend on their number.
    FlowCondition emptyCondition(std::int64_t batch, bool withPose);

    /// Velocity of every latent in `x`. t and d: (batch), time and step size times 1000; without d the step embedding
    /// is left out. When `x` holds the shape alone, the pose stream is not computed, which changes nothing for the
    /// shape.
    FlowState velocity(const FlowState& x, const torch::Tensor& t, const std::optional<torch::Tensor>& d,
                       const FlowCondition& condition);

    /// The parts of velocity(), for tests: embedding of time and step, and tokens entering the first block by stream.
    torch::Tensor timeEmbedding(const torch::Tensor& t) { return timeEmbedder_->forward(t); }
    torch::Tensor stepEmbedding(const torch::Tensor& d) { return stepEmbedder_->forward(d); }
    FlowState streamTokens(const FlowState& x);
    FlowState runBlock(std::size_t index, const FlowState& streams, const torch::Tensor& embedding,
                       const FlowCondition& condition);

  private:
    struct LatentLayers {
        Linear input{nullptr};
        Linear output{nullptr};
        torch::Tensor position;
    };
    FlowState outputs(const FlowState& x, const FlowState& streams);

    StructureFlowShape shape_;
    TimeEmbedder timeEmbedder_{nullptr}, stepEmbedder_{nullptr};
    std::map<std::string, LatentLayers> latents_;
    std::vector<std::shared_ptr<FlowBlockImpl>> blocks_;
};
TORCH_MODULE(StructureFlow);

}  // namespace medseg
