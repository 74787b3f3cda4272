#include "medseg/nn/sam3d/channel_norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/Parallel.h>

namespace medseg {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kStrip = 512;  ///< voxels that are worked on together: their channels stay in the cache

struct Strip {
    std::int64_t offset;  ///< of the first voxel in channel 0
    std::int64_t count;
};

/// Calls body(index, strip) for strips of voxels of a (N, C, voxels) tensor.
template <typename Body>
void forStrips(std::int64_t batch, std::int64_t channels, std::int64_t voxels, Body&& body) {
    const std::int64_t strips = (voxels + kStrip - 1) / kStrip;
    at::parallel_for(0, batch * strips, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) {
            const std::int64_t start = i % strips * kStrip;
            body(i, Strip{i / strips * channels * voxels + start, std::min(kStrip, voxels - start)});
        }
    });
}

/// Mean and 1 / deviation over channels of every voxel of a strip.
struct Moments {
    float mean[kStrip], scale[kStrip];

    Moments(const float* x, std::int64_t channels, std::int64_t voxels, std::int64_t count, float epsilon) {
        std::fill_n(mean, count, 0.0F);
        for (std::int64_t c = 0; c < channels; ++c)
            for (std::int64_t i = 0; i < count; ++i) mean[i] += x[c * voxels + i];
        const auto size = static_cast<float>(channels);
        for (std::int64_t i = 0; i < count; ++i) mean[i] /= size;
        std::fill_n(scale, count, 0.0F);
        for (std::int64_t c = 0; c < channels; ++c)
            for (std::int64_t i = 0; i < count; ++i) {
                const float d = x[c * voxels + i] - mean[i];
                scale[i] += d * d;
            }
        for (std::int64_t i = 0; i < count; ++i) scale[i] = 1 / std::sqrt(scale[i] / size + epsilon);
    }
};

class ChannelNorm : public torch::autograd::Function<ChannelNorm> {
  public:
    static torch::Tensor forward(AutogradContext* context, const torch::Tensor& xAny, const torch::Tensor& weight,
                                 const torch::Tensor& bias, double epsilon) {
        const torch::Tensor x = xAny.contiguous(), result = torch::empty_like(x);
        const std::int64_t channels = x.size(1), voxels = x[0][0].numel();
        const float *source = x.data_ptr<float>(), *w = weight.data_ptr<float>(), *b = bias.data_ptr<float>();
        float* target = result.data_ptr<float>();
        forStrips(x.size(0), channels, voxels, [&](std::int64_t, Strip strip) {
            const float* in = source + strip.offset;
            float* out = target + strip.offset;
            const Moments moments(in, channels, voxels, strip.count, static_cast<float>(epsilon));
            for (std::int64_t c = 0; c < channels; ++c)
                for (std::int64_t i = 0; i < strip.count; ++i)
                    out[c * voxels + i] = (in[c * voxels + i] - moments.mean[i]) * moments.scale[i] * w[c] + b[c];
        });
        context->save_for_backward({x, weight});
        context->saved_data["epsilon"] = epsilon;
        return result;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const auto saved = context->get_saved_variables();
        const torch::Tensor &x = saved[0], &weight = saved[1];
        const torch::Tensor gradient = gradients[0].contiguous(), xGradient = torch::empty_like(x);
        const auto epsilon = static_cast<float>(context->saved_data["epsilon"].toDouble());
        const std::int64_t channels = x.size(1), voxels = x[0][0].numel();
        const std::int64_t strips = x.size(0) * ((voxels + kStrip - 1) / kStrip);
        // A row of sums a strip, added up in order: the same for any number of threads.
        std::vector<float> sums(static_cast<std::size_t>(strips * 2 * channels), 0.0F);
        const float *source = x.data_ptr<float>(), *w = weight.data_ptr<float>(), *g = gradient.data_ptr<float>();
        float* target = xGradient.data_ptr<float>();
        forStrips(x.size(0), channels, voxels, [&](std::int64_t index, Strip strip) {
            const float *in = source + strip.offset, *up = g + strip.offset;
            float *out = target + strip.offset, *sum = sums.data() + index * 2 * channels;
            const Moments moments(in, channels, voxels, strip.count, epsilon);
            float along[kStrip] = {}, total[kStrip] = {};  // means of g w n and of g w over the channels
            for (std::int64_t c = 0; c < channels; ++c) {
                float weightSum = 0, biasSum = 0;
                for (std::int64_t i = 0; i < strip.count; ++i) {
                    const float n = (in[c * voxels + i] - moments.mean[i]) * moments.scale[i], d = up[c * voxels + i];
                    weightSum += d * n;
                    biasSum += d;
                    along[i] += d * w[c] * n;
                    total[i] += d * w[c];
                }
                sum[c] = weightSum;
                sum[channels + c] = biasSum;
            }
            const float share = 1 / static_cast<float>(channels);
            for (std::int64_t c = 0; c < channels; ++c)
                for (std::int64_t i = 0; i < strip.count; ++i) {
                    const float n = (in[c * voxels + i] - moments.mean[i]) * moments.scale[i];
                    out[c * voxels + i] =
                        moments.scale[i] * (up[c * voxels + i] * w[c] - share * (total[i] + n * along[i]));
                }
        });
        const torch::Tensor all =
            torch::from_blob(sums.data(), {strips, 2, channels}).to(torch::kDouble).sum(0).to(torch::kFloat);
        return {xGradient, all[0].clone(), all[1].clone(), torch::Tensor()};
    }
};

}  // namespace

torch::Tensor channelNorm(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                          double epsilon) {
    if (x.device().is_cpu() && x.scalar_type() == torch::kFloat && x.numel() > 0)
        return ChannelNorm::apply(x, weight, bias, epsilon);
    const auto last = x.movedim(1, -1);
    return torch::layer_norm(last, {x.size(1)}, weight, bias, epsilon).movedim(-1, 1);
}

}  // namespace medseg
