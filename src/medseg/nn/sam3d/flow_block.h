// One block of the structure generator: self-attention, attention to the condition and an MLP, with weights of their
// own for every stream of tokens and one modulation by time for all.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/nn/sam3d/flow_layers.h"

namespace medseg {

struct FlowBlockShape {
    std::int64_t width = 0;
    std::int64_t conditionWidth = 0;
    std::int64_t heads = 1;
    std::int64_t mlpRatio = 4;
    bool headNorm = true;
};

class FlowBlockImpl : public torch::nn::Module {
  public:
    /// streams: the first one attends to itself alone, the others to themselves and to all others, whose keys and
    /// values carry no gradient.
    FlowBlockImpl(const FlowBlockShape& shape, const std::vector<std::string>& streams);

    std::map<std::string, KeysValues> prepareCondition(const torch::Tensor& tokens, bool withPose);

    /// streams: name -> (batch, tokens, width), any subset that includes the first; embedding: (batch, width).
    std::map<std::string, torch::Tensor> forward(const std::map<std::string, torch::Tensor>& streams,
                                                 const torch::Tensor& embedding,
                                                 const std::map<std::string, KeysValues>& condition);

  private:
    struct Projection {
        torch::Tensor q;  ///< (batch, heads, tokens, dim)
        KeysValues kv;
    };
    struct Stream {
        TokenNorm norm2{nullptr};
        Linear toQkv{nullptr}, toOut{nullptr};
        HeadNorm qNorm{nullptr}, kNorm{nullptr};
        FlowCrossAttention cross{nullptr};
        FlowMlp mlp{nullptr};
    };
    Projection project(Stream& stream, const torch::Tensor& x);
    std::map<std::string, torch::Tensor> selfAttention(const std::map<std::string, torch::Tensor>& inputs);

    FlowBlockShape shape_;
    std::vector<std::string> order_;
    std::map<std::string, Stream> streams_;
    TokenNorm plainNorm_{nullptr};
    Linear modulation_{nullptr};
};

}  // namespace medseg
