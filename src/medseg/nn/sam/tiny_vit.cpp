#include "medseg/nn/sam/tiny_vit.h"

#include <cmath>
#include <cstdlib>

#include "medseg/nn/matrix_product.h"

namespace medseg {
namespace {

/// Convolution without bias and batch norm: c.*, bn.*.
struct ConvNormImpl : torch::nn::Module {
    ConvNormImpl(std::int64_t in, std::int64_t out, std::int64_t kernel = 1, std::int64_t stride = 1,
                 std::int64_t groups = 1) {
        c = register_module("c", torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, kernel)
                                                       .stride(stride)
                                                       .padding(kernel / 2)
                                                       .groups(groups)
                                                       .bias(false)));
        bn = register_module("bn", torch::nn::BatchNorm2d(out));
    }
    torch::Tensor forward(const torch::Tensor& x) { return bn->forward(c->forward(x)); }
    torch::nn::Conv2d c{nullptr};
    torch::nn::BatchNorm2d bn{nullptr};
};
TORCH_MODULE(ConvNorm);

/// Widen, depthwise 3x3, narrow, with a skip connection.
struct MbConvImpl : torch::nn::Module {
    MbConvImpl(std::int64_t width, std::int64_t expansion) {
        conv1 = register_module("conv1", ConvNorm(width, width * expansion));
        conv2 = register_module("conv2", ConvNorm(width * expansion, width * expansion, 3, 1, width * expansion));
        conv3 = register_module("conv3", ConvNorm(width * expansion, width));
    }
    torch::Tensor forward(const torch::Tensor& x) {
        const torch::Tensor y = torch::gelu(conv2->forward(torch::gelu(conv1->forward(x))));
        return torch::gelu(conv3->forward(y) + x);
    }
    ConvNorm conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
};
TORCH_MODULE(MbConv);

/// The transition to the next stage: other width, half the size except before the last stage.
struct PatchMergingImpl : torch::nn::Module {
    PatchMergingImpl(std::int64_t in, std::int64_t out, std::int64_t stride) {
        conv1 = register_module("conv1", ConvNorm(in, out));
        conv2 = register_module("conv2", ConvNorm(out, out, 3, stride, out));
        conv3 = register_module("conv3", ConvNorm(out, out));
    }
    torch::Tensor forward(const torch::Tensor& x) {
        return conv3->forward(torch::gelu(conv2->forward(torch::gelu(conv1->forward(x)))));
    }
    ConvNorm conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
};
TORCH_MODULE(PatchMerging);

/// Attention inside windows with one learned bias a head and absolute offset.
struct OffsetAttentionImpl : torch::nn::Module {
    OffsetAttentionImpl(std::int64_t width, std::int64_t headCount, std::int64_t window) : heads(headCount) {
        biases = register_parameter("attention_biases", torch::zeros({heads, window * window}));
        norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
        qkv = register_module("qkv", Linear(width, 3 * width));
        proj = register_module("proj", Linear(width, width));
        std::vector<std::int64_t> index;
        for (std::int64_t p = 0; p < window * window; ++p)
            for (std::int64_t q = 0; q < window * window; ++q)
                index.push_back(std::abs(p / window - q / window) * window + std::abs(p % window - q % window));
        offsets = torch::tensor(index, torch::kLong);
    }
    /// x: (windows, n, width).
    torch::Tensor forward(const torch::Tensor& x) {
        const std::int64_t n = x.size(1), headWidth = x.size(2) / heads;
        const auto parts = qkv->forward(norm->forward(x))
                               .view({x.size(0), n, heads, 3 * headWidth})
                               .transpose(1, 2)
                               .split(headWidth, -1);
        const torch::Tensor bias = biases.index_select(1, offsets.to(biases.device())).view({1, heads, n, n});
        const double scale = 1.0 / std::sqrt(static_cast<double>(headWidth));
        const torch::Tensor mixed = attentionProduct(parts[0], parts[1], parts[2], scale, bias);
        return proj->forward(mixed.transpose(1, 2).reshape(x.sizes()));
    }
    std::int64_t heads;
    torch::Tensor biases;
    torch::Tensor offsets;  ///< of each pair of positions, into the biases; files do not store it
    torch::nn::LayerNorm norm{nullptr};
    Linear qkv{nullptr}, proj{nullptr};
};
TORCH_MODULE(OffsetAttention);

struct NormedMlpImpl : torch::nn::Module {
    NormedMlpImpl(std::int64_t width, std::int64_t hidden) {
        norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
        fc1 = register_module("fc1", Linear(width, hidden));
        fc2 = register_module("fc2", Linear(hidden, width));
    }
    torch::Tensor forward(const torch::Tensor& x) { return fc2->forward(torch::gelu(fc1->forward(norm->forward(x)))); }
    torch::nn::LayerNorm norm{nullptr};
    Linear fc1{nullptr}, fc2{nullptr};
};
TORCH_MODULE(NormedMlp);

/// x: (batch, width, h, w) in and out.
struct TinyVitBlockImpl : torch::nn::Module {
    TinyVitBlockImpl(std::int64_t width, std::int64_t heads, std::int64_t windowSize, std::int64_t mlpRatio)
        : window(windowSize) {
        attn = register_module("attn", OffsetAttention(width, heads, window));
        mlp = register_module("mlp", NormedMlp(width, width * mlpRatio));
        localConv = register_module("local_conv", ConvNorm(width, width, 3, 1, width));
    }
    torch::Tensor forward(const torch::Tensor& x) {
        const torch::Tensor cells = x.permute({0, 2, 3, 1});
        // Padding comes before the norm here: padded positions hold the norm's bias and take part.
        const torch::Tensor windows = windowPartition(cells.contiguous(), window);
        const torch::Tensor attended = attn->forward(windows.flatten(1, 2)).view(windows.sizes());
        const torch::Tensor y = cells + windowReverse(attended, cells.size(1), cells.size(2));
        const torch::Tensor z = localConv->forward(y.permute({0, 3, 1, 2})).permute({0, 2, 3, 1});
        return (z + mlp->forward(z)).permute({0, 3, 1, 2});
    }
    std::int64_t window;
    OffsetAttention attn{nullptr};
    NormedMlp mlp{nullptr};
    ConvNorm localConv{nullptr};
};
TORCH_MODULE(TinyVitBlock);

/// Blocks of one width and the transition to the next.
struct StageImpl : torch::nn::Module {
    StageImpl(const TinyVitShape& shape, std::size_t index) {
        blocks = register_module("blocks", torch::nn::Sequential());
        for (std::int64_t i = 0; i < shape.depths[index]; ++i) {
            if (index == 0)
                blocks->push_back(MbConv(shape.widths[index], shape.expansion));
            else
                blocks->push_back(
                    TinyVitBlock(shape.widths[index], shape.heads[index], shape.windows[index], shape.mlpRatio));
        }
        if (index + 1 == shape.widths.size()) return;
        const std::int64_t stride = index + 2 == shape.widths.size() ? 1 : 2;
        downsample = register_module("downsample", PatchMerging(shape.widths[index], shape.widths[index + 1], stride));
    }
    torch::Tensor forward(torch::Tensor x) {
        x = blocks->forward(x);
        return downsample ? downsample->forward(x) : x;
    }
    torch::nn::Sequential blocks{nullptr};
    PatchMerging downsample{nullptr};
};
TORCH_MODULE(Stage);

/// patch_embed: the official code keeps the convolutions in a member `seq`.
struct PatchConvolutionsImpl : torch::nn::Module {
    explicit PatchConvolutionsImpl(const TinyVitShape& shape) {
        const std::int64_t kernel = shape.stridedPatches ? 3 : 1;
        const std::int64_t stride = shape.stridedPatches ? 2 : 1;
        const std::int64_t width = shape.widths[0];
        seq = register_module("seq", torch::nn::Sequential(ConvNorm(3, width / 2, kernel, stride), torch::nn::GELU(),
                                                           ConvNorm(width / 2, width, kernel, stride)));
    }
    torch::nn::Sequential seq{nullptr};
};

}  // namespace

TinyVitEncoderImpl::TinyVitEncoderImpl(const TinyVitShape& shape) {
    patches_ = register_module("patch_embed", std::make_shared<PatchConvolutionsImpl>(shape))->seq;
    layers_ = register_module("layers", torch::nn::ModuleList());
    for (std::size_t i = 0; i < shape.widths.size(); ++i) layers_->push_back(Stage(shape, i));
    if (shape.classes > 0) {
        const std::int64_t width = shape.widths.back();
        register_module("norm_head", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})));
        register_module("head", Linear(width, shape.classes));
    }
    neck_ = register_module("neck", encoderNeck(shape.widths.back(), shape.outChannels));
}

torch::Tensor TinyVitEncoderImpl::forward(const torch::Tensor& image) {
    torch::Tensor x = patches_->forward(image);
    for (std::size_t i = 0; i < layers_->size(); ++i) x = layers_->ptr<StageImpl>(i)->forward(x);
    return neck_->forward(x);
}

}  // namespace medseg
