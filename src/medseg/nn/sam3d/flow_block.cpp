#include "medseg/nn/sam3d/flow_block.h"

#include <cmath>

#include "medseg/nn/matrix_product.h"

namespace medseg {
namespace {

constexpr double kBlockEpsilon = 1e-6;

using ModulePointer = std::shared_ptr<torch::nn::Module>;

void xavier(Linear& layer) {
    torch::nn::init::xavier_uniform_(layer->weight);
    if (layer->bias.defined()) torch::nn::init::zeros_(layer->bias);
}

}  // namespace

FlowBlockImpl::FlowBlockImpl(const FlowBlockShape& shape, const std::vector<std::string>& streams)
    : shape_(shape), order_(streams), plainNorm_(shape.width, kBlockEpsilon, false) {
    const auto container = [](torch::nn::Module& parent, const char* name) {
        return parent.register_module(name, std::make_shared<torch::nn::Module>());
    };
    const ModulePointer norm2 = container(*this, "norm2"), attention = container(*this, "self_attn");
    const ModulePointer qkv = container(*attention, "to_qkv"), out = container(*attention, "to_out");
    const ModulePointer cross = container(*this, "cross_attn"), mlp = container(*this, "mlp");
    ModulePointer qNorms, kNorms;
    if (shape.headNorm) {
        qNorms = container(*attention, "q_rms_norm");
        kNorms = container(*attention, "k_rms_norm");
    }
    for (const std::string& name : streams) {
        Stream& stream = streams_[name];
        stream.norm2 = norm2->register_module(name, TokenNorm(shape.width, kBlockEpsilon, true));
        stream.toQkv = qkv->register_module(name, Linear(shape.width, 3 * shape.width));
        stream.toOut = out->register_module(name, Linear(shape.width, shape.width));
        xavier(stream.toQkv);
        xavier(stream.toOut);
        if (shape.headNorm) {
            stream.qNorm = qNorms->register_module(name, HeadNorm(shape.heads, shape.width / shape.heads));
            stream.kNorm = kNorms->register_module(name, HeadNorm(shape.heads, shape.width / shape.heads));
        }
        stream.cross = cross->register_module(name, FlowCrossAttention(shape.width, shape.conditionWidth, shape.heads));
        stream.mlp = mlp->register_module(name, FlowMlp(shape.width, shape.mlpRatio));
    }
    modulation_ = Linear(shape.width, 6 * shape.width);
    {
        // Training from scratch starts with closed gates.
        torch::NoGradGuard noGradient;
        modulation_->weight.zero_();
        modulation_->bias.zero_();
    }
    container(*this, "adaLN_modulation")->register_module("1", modulation_);
}

std::map<std::string, KeysValues> FlowBlockImpl::prepareCondition(const torch::Tensor& tokens, bool withPose) {
    std::map<std::string, KeysValues> prepared;
    for (std::size_t i = 0; i < (withPose ? order_.size() : 1); ++i)
        prepared[order_[i]] = streams_.at(order_[i]).cross->prepare(tokens);
    return prepared;
}

FlowBlockImpl::Projection FlowBlockImpl::project(Stream& stream, const torch::Tensor& x) {
    const auto parts = stream.toQkv->forward(x).chunk(3, -1);
    auto q = splitHeads(parts[0], shape_.heads), k = splitHeads(parts[1], shape_.heads);
    if (shape_.headNorm) {
        q = stream.qNorm->forward(q);
        k = stream.kNorm->forward(k);
    }
    return {q.transpose(1, 2), {k.transpose(1, 2), splitHeads(parts[2], shape_.heads).transpose(1, 2)}};
}

std::map<std::string, torch::Tensor> FlowBlockImpl::selfAttention(const std::map<std::string, torch::Tensor>& inputs) {
    std::map<std::string, Projection> projections;
    for (const auto& [name, x] : inputs) projections[name] = project(streams_.at(name), x);
    const double scale = 1.0 / std::sqrt(static_cast<double>(shape_.width / shape_.heads));
    std::map<std::string, torch::Tensor> results;
    for (const auto& [name, own] : projections) {
        std::vector<torch::Tensor> keys{own.kv.keys}, values{own.kv.values};
        if (name != order_.front())
            for (const auto& [other, projection] : projections) {
                if (other == name) continue;
                keys.push_back(projection.kv.keys.detach());
                values.push_back(projection.kv.values.detach());
            }
        const auto attended = keys.size() == 1
                                  ? attentionProduct(own.q, keys.front(), values.front(), scale)
                                  : attentionProduct(own.q, torch::cat(keys, 2), torch::cat(values, 2), scale);
        results[name] = streams_.at(name).toOut->forward(joinHeads(attended));
    }
    return results;
}

std::map<std::string, torch::Tensor> FlowBlockImpl::forward(const std::map<std::string, torch::Tensor>& streams,
                                                            const torch::Tensor& embedding,
                                                            const std::map<std::string, KeysValues>& condition) {
    const auto parts = modulation_->forward(torch::silu(embedding)).unsqueeze(1).chunk(6, -1);
    const auto modulated = [&](const torch::Tensor& x, std::size_t first) {
        return plainNorm_->forward(x) * (1 + parts[first + 1]) + parts[first];
    };
    std::map<std::string, torch::Tensor> inputs, results;
    for (const auto& [name, x] : streams) inputs[name] = modulated(x, 0);
    const auto attended = selfAttention(inputs);
    for (const auto& [name, before] : streams) {
        Stream& stream = streams_.at(name);
        torch::Tensor x = before + parts[2] * attended.at(name);
        x = x + stream.cross->forward(stream.norm2->forward(x), condition.at(name));
        results[name] = x + parts[5] * stream.mlp->forward(modulated(x, 3));
    }
    return results;
}

}  // namespace medseg
