#include "medseg/nn/sam3d/latent_flow.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr double kBlockEpsilon = 1e-6, kOutputEpsilon = 1e-5;

// Of the released latents' channels.
constexpr float kLatentMean[] = {0.12211431F,  0.37204156F,  -1.26521907F, -2.05276058F,
                                 -3.10432536F, -0.11294304F, -0.85146744F, 0.45506954F};
constexpr float kLatentDeviation[] = {2.37326008F, 2.13174402F, 2.2413953F,  2.30589401F,
                                      2.1191894F,  1.8969511F,  2.41684989F, 2.08374642F};

void zero(Linear& layer) {
    torch::NoGradGuard noGradient;
    layer->weight.zero_();
    layer->bias.zero_();
}

/// Rows of `values`, one a batch item, for every voxel; or the single row, when there is one item.
torch::Tensor perVoxel(const torch::Tensor& values, const SparseStructure& structure) {
    if (values.size(0) == 1) return values;
    return values.index_select(0, structure.coordinates().select(1, 0).to(values.device()));
}

}  // namespace

torch::Tensor averageCells(const torch::Tensor& x, const SparseCells& cells) {
    const auto sums = torch::zeros({cells.structure->size(), x.size(1)}, x.options().requires_grad(false))
                          .index_add(0, cells.cellOf.to(x.device()), x);
    return sums / (cells.counts.to(x.device()).unsqueeze(1) + 1);
}

LatentResidualBlockImpl::LatentResidualBlockImpl(std::int64_t in, std::int64_t out, std::int64_t embedding)
    : norm2_(out, kBlockEpsilon, false) {
    norm1_ = register_module("norm1", TokenNorm(in, kBlockEpsilon, true));
    conv1_ = register_module("conv1", SparseConvolution(in, out, 3));
    conv2_ = register_module("conv2", SparseConvolution(out, out, 3));
    conv2_->zero();
    modulation_ = Linear(embedding, 2 * out);
    register_module("emb_layers", std::make_shared<torch::nn::Module>())->register_module("1", modulation_);
    if (in != out) skip_ = register_module("skip_connection", Linear(in, out));
}

torch::Tensor LatentResidualBlockImpl::forward(const torch::Tensor& x, SparseStructure& structure,
                                               const torch::Tensor& embedding) {
    const auto parts = modulation_->forward(torch::silu(embedding)).chunk(2, 1);
    const auto scale = perVoxel(parts[0], structure), shift = perVoxel(parts[1], structure);
    auto h = conv1_->forward(torch::silu(norm1_->forward(x)), structure);
    h = conv2_->forward(torch::silu(norm2_->forward(h) * (1 + scale) + shift), structure);
    return h + (skip_ ? skip_->forward(x) : x);
}

LatentFlowBlockImpl::LatentFlowBlockImpl(const LatentFlowShape& shape) : plainNorm_(shape.width, kBlockEpsilon, false) {
    norm2_ = register_module("norm2", TokenNorm(shape.width, kBlockEpsilon, true));
    attention_ = register_module("self_attn", SparseSelfAttention(shape.width, shape.heads, shape.headNorm));
    cross_ = register_module("cross_attn", FlowCrossAttention(shape.width, shape.conditionWidth, shape.heads));
    mlp_ = register_module("mlp", FlowMlp(shape.width, shape.mlpRatio));
    modulation_ = Linear(shape.width, 6 * shape.width);
    zero(modulation_);
    register_module("adaLN_modulation", std::make_shared<torch::nn::Module>())->register_module("1", modulation_);
}

torch::Tensor LatentFlowBlockImpl::forward(const torch::Tensor& before, SparseStructure& structure,
                                           const torch::Tensor& embedding, const KeysValues& condition) {
    const auto parts = modulation_->forward(torch::silu(embedding)).chunk(6, 1);
    const auto part = [&](std::size_t i) { return perVoxel(parts[i], structure); };
    const auto modulated = [&](const torch::Tensor& x, std::size_t first) {
        return plainNorm_->forward(x) * (1 + part(first + 1)) + part(first);
    };
    torch::Tensor x = before + part(2) * attention_->forward(modulated(before, 0), structure.wholes());
    const auto normed = norm2_->forward(x);
    std::vector<torch::Tensor> attended;
    for (std::size_t i = 0; i < structure.items().size(); ++i) {
        const auto [first, rows] = structure.items()[i];
        const std::int64_t item = structure.itemIndices()[i];
        attended.push_back(cross_
                               ->forward(normed.narrow(0, first, rows).unsqueeze(0),
                                         {condition.keys.narrow(0, item, 1), condition.values.narrow(0, item, 1)})
                               .squeeze(0));
    }
    if (!attended.empty()) x = x + torch::cat(attended);
    return x + part(5) * mlp_->forward(modulated(x, 3));
}

LatentFlowImpl::LatentFlowImpl(const LatentFlowShape& shape) : shape_(shape) {
    if (shape.ioChannels.empty() || shape.resBlocks < 1)
        throw UsageError("the latent generator needs at least one level of residual blocks");
    const std::size_t levels = shape.ioChannels.size();
    timeEmbedder_ = register_module("t_embedder", TimeEmbedder(shape.width, shape.timeFeatures));
    input_ = register_module("input_layer", Linear(shape.inChannels, shape.ioChannels.front()));
    const auto addBlock = [&](torch::nn::Module& list, std::vector<IoBlock>& blocks, std::int64_t in, std::int64_t out,
                              bool changesGrid) {
        const std::string name = std::to_string(blocks.size());
        blocks.push_back({list.register_module(name, LatentResidualBlock(in, out, shape.width)), changesGrid});
    };
    const auto inputs = register_module("input_blocks", std::make_shared<torch::nn::Module>());
    for (std::size_t level = 0; level < levels; ++level) {
        const std::int64_t own = shape.ioChannels[level];
        const std::int64_t next = level + 1 < levels ? shape.ioChannels[level + 1] : shape.width;
        for (std::int64_t i = 1; i < shape.resBlocks; ++i) addBlock(*inputs, inputBlocks_, own, own, false);
        addBlock(*inputs, inputBlocks_, own, next, true);
    }
    const auto list = register_module("blocks", std::make_shared<torch::nn::Module>());
    for (std::int64_t i = 0; i < shape.blocks; ++i)
        blocks_.push_back(list->register_module(std::to_string(i), LatentFlowBlock(shape)));
    const auto outputs = register_module("out_blocks", std::make_shared<torch::nn::Module>());
    const std::int64_t wider = shape.skips ? 2 : 1;
    for (std::size_t level = levels; level-- > 0;) {
        const std::int64_t own = shape.ioChannels[level];
        const std::int64_t before = level + 1 < levels ? shape.ioChannels[level + 1] : shape.width;
        addBlock(*outputs, outputBlocks_, before * wider, own, true);
        for (std::int64_t i = 1; i < shape.resBlocks; ++i) addBlock(*outputs, outputBlocks_, own * wider, own, false);
    }
    output_ = register_module("out_layer", Linear(shape.ioChannels.front(), shape.outChannels));
    zero(output_);
}

LatentCondition LatentFlowImpl::prepareCondition(const torch::Tensor& tokens) {
    LatentCondition condition;
    for (auto& block : blocks_) condition.push_back(block->prepareCondition(tokens));
    return condition;
}

LatentCondition LatentFlowImpl::emptyCondition(std::int64_t batch) {
    // One token stands for all, because attention to equal tokens does not depend on their number.
    const auto options = timeEmbedder_->parameters().front().options().requires_grad(false);
    return prepareCondition(torch::zeros({batch, 1, shape_.conditionWidth}, options));
}

std::vector<LatentFlowImpl::Level> LatentFlowImpl::inputLevels(const torch::Tensor& x, SparseStructure& structure,
                                                               const torch::Tensor& embedding) {
    std::vector<Level> levels;
    torch::Tensor h = input_->forward(x);
    SparseStructure* grid = &structure;
    for (IoBlock& io : inputBlocks_) {
        if (io.changesGrid) {
            const SparseCells& cells = grid->cells();
            h = averageCells(h, cells);
            grid = cells.structure.get();
        }
        h = io.block->forward(h, *grid, embedding);
        levels.push_back({h, grid});
    }
    return levels;
}

torch::Tensor LatentFlowImpl::velocity(const torch::Tensor& x, SparseStructure& structure, const torch::Tensor& t,
                                       const LatentCondition& condition) {
    const auto embedding = timeEmbedding(t);
    const std::vector<Level> levels = inputLevels(x, structure, embedding);
    // The grids on the way down, finest first.
    std::vector<SparseStructure*> grids{&structure};
    for (const Level& level : levels)
        if (level.structure != grids.back()) grids.push_back(level.structure);
    SparseStructure& coarse = *grids.back();
    torch::Tensor h = levels.back().features + sinusoidalPositions(coarse.positions(), shape_.width).to(x.device());
    for (std::size_t i = 0; i < blocks_.size(); ++i) h = blocks_[i]->forward(h, coarse, embedding, condition.at(i));
    for (std::size_t i = 0; i < outputBlocks_.size(); ++i) {
        if (shape_.skips) h = torch::cat({h, levels[levels.size() - 1 - i].features}, 1);
        if (outputBlocks_[i].changesGrid) {
            grids.pop_back();
            h = h.index_select(0, grids.back()->cells().cellOf.to(h.device()));
        }
        h = outputBlocks_[i].block->forward(h, *grids.back(), embedding);
    }
    return output_->forward(torch::layer_norm(h, {h.size(1)}, {}, {}, kOutputEpsilon));
}

torch::Tensor sampleLatents(LatentFlow& model, const torch::Tensor& noise, SparseStructure& structure,
                            const LatentCondition& condition, const LatentCondition& unconditional,
                            const FlowSampling& sampling,
                            const std::function<void(int, const torch::Tensor&)>& afterStep) {
    const std::vector<double> times = samplerTimes(sampling.steps, sampling.rescale);
    const std::int64_t batch = condition.front().keys.size(0);
    torch::Tensor state = noise;
    for (int i = 0; i < sampling.steps; ++i) {
        const auto index = static_cast<std::size_t>(i);
        const double scaled = times[index] * kFlowTimeScale;
        const auto t = torch::full({batch}, scaled, noise.options());
        torch::Tensor velocity = model->velocity(state, structure, t, condition);
        const bool guide = sampling.guidance != 0 && scaled >= sampling.interval[0] && scaled <= sampling.interval[1];
        if (guide)
            velocity = (1 + sampling.guidance) * velocity -
                       sampling.guidance * model->velocity(state, structure, t, unconditional);
        state = state + (times[index + 1] - times[index]) * velocity;
        if (afterStep) afterStep(i, state);
    }
    return state;
}

torch::Tensor denormalisedLatents(const torch::Tensor& sampled) {
    const auto row = [&](const float* values) {
        return torch::from_blob(const_cast<float*>(values), {8}).clone().to(sampled.options().requires_grad(false));
    };
    return sampled * row(kLatentDeviation) + row(kLatentMean);
}

}  // namespace medseg
