#include "medseg/nn/sam2/plain_trunk.h"

#include <algorithm>

#include <fmt/format.h>

namespace medseg {

PlainTrunkImpl::PlainTrunkImpl(const Sam2TrunkSettings& settings) : pretrainedGrid_(settings.pretrainedGrid) {
    positions_ =
        register_parameter("pos_embed", torch::zeros({1, pretrainedGrid_ * pretrainedGrid_ + 1, settings.embedDim}));
    patchEmbedding_ =
        register_module("patch_embed", Sam2PatchEmbedding(settings.embedDim, settings.patch, settings.patch, 0));
    blocks_ = register_module("blocks", torch::nn::ModuleList());
    const auto& windowed = settings.windowedBlocks;
    for (std::int64_t i = 0; i < settings.depth; ++i) {
        HieraBlockSettings block;
        block.dim = block.dimOut = settings.embedDim;
        block.heads = settings.heads;
        block.window = std::find(windowed.begin(), windowed.end(), i) != windowed.end() ? settings.window : 0;
        blocks_->push_back(HieraBlock(block, settings));
    }
}

std::vector<torch::Tensor> PlainTrunkImpl::forward(const torch::Tensor& images, const TrunkObserver& observer) {
    namespace F = torch::nn::functional;
    torch::Tensor x = patchEmbedding_->forward(images);
    if (observer) observer("patch_embed", x);
    // The class token's position has no use on a grid.
    torch::Tensor grid =
        positions_.slice(1, 1).reshape({1, pretrainedGrid_, pretrainedGrid_, -1}).permute({0, 3, 1, 2});
    if (x.size(1) != pretrainedGrid_ || x.size(2) != pretrainedGrid_)
        grid = F::interpolate(grid, F::InterpolateFuncOptions()
                                        .size(std::vector<std::int64_t>{x.size(1), x.size(2)})
                                        .mode(torch::kBicubic)
                                        .align_corners(false));
    x = x + grid.permute({0, 2, 3, 1});
    if (observer) observer("pos_embed", grid.permute({0, 2, 3, 1}));
    for (std::size_t i = 0; i < blocks_->size(); ++i) {
        x = blocks_->ptr<HieraBlockImpl>(i)->forward(x);
        if (observer) observer(fmt::format("block_{}", i), x);
    }
    return {x.permute({0, 3, 1, 2})};
}

}  // namespace medseg
