#include <dnnl.hpp>

#include "medseg/nn/fused_layers.h"

namespace medseg {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto kChannelsLast = torch::MemoryFormat::ChannelsLast;

const dnnl::engine& cpuEngine() {
    static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    return engine;
}

dnnl::stream& cpuStream() {
    static thread_local dnnl::stream stream(cpuEngine());
    return stream;
}

memory::data_type typeOf(const torch::Tensor& tensor) {
    return tensor.scalar_type() == torch::kBFloat16 ? memory::data_type::bf16 : memory::data_type::f32;
}

memory::desc description(at::IntArrayRef sizes, memory::data_type type, Tag tag) {
    return {memory::dims(sizes.begin(), sizes.end()), type, tag};
}

memory wrap(const memory::desc& desc, const torch::Tensor& tensor) {
    return {desc, cpuEngine(), tensor.data_ptr()};
}

memory::desc activation(const torch::Tensor& tensor) {
    return description(tensor.sizes(), typeOf(tensor), Tag::nhwc);
}
memory::desc vectorOf(const torch::Tensor& tensor) {
    return description(tensor.sizes(), memory::data_type::f32, Tag::x);
}

/// Weights keep torch's order outside; libtorch's channels-last weights are (out, height, width, in).
memory::desc weightDescription(const torch::Tensor& weight) {
    return description(weight.sizes(), memory::data_type::f32, weight.is_contiguous() ? Tag::oihw : Tag::ohwi);
}

void reorder(memory source, memory target) {
    dnnl::reorder(source, target).execute(cpuStream(), source, target);
}

/// `weight` in the layout and number format that a primitive wants.
memory inLayout(const torch::Tensor& weight, const memory::desc& wanted) {
    const memory source = wrap(weightDescription(weight), weight);
    if (source.get_desc() == wanted) return source;
    memory target(wanted, cpuEngine());
    reorder(source, target);
    return target;
}

/// The primitive descriptions of one convolution.
struct Convolution {
    memory::desc x, weight, weightGradient, bias, y;
    memory::dims stride{1, 1}, padding;

    Convolution(const torch::Tensor& xTensor, const torch::Tensor& weightTensor, const torch::Tensor& biasTensor)
        : x(activation(xTensor)),
          weight(description(weightTensor.sizes(), typeOf(xTensor), Tag::any)),
          weightGradient(description(weightTensor.sizes(), memory::data_type::f32, Tag::any)),
          bias(vectorOf(biasTensor)),
          y(description({xTensor.size(0), weightTensor.size(0), xTensor.size(2), xTensor.size(3)}, typeOf(xTensor),
                        Tag::nhwc)),
          padding{weightTensor.size(2) / 2, weightTensor.size(3) / 2} {}

    dnnl::convolution_forward::primitive_desc forward() const {
        return {{dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, x, weight, bias, y, stride,
                 padding, padding},
                cpuEngine()};
    }
    dnnl::convolution_backward_data::primitive_desc backwardData() const {
        return {{dnnl::algorithm::convolution_direct, x, weight, y, stride, padding, padding}, cpuEngine(), forward()};
    }
    dnnl::convolution_backward_weights::primitive_desc backwardWeights() const {
        return {{dnnl::algorithm::convolution_direct, x, weightGradient, bias, y, stride, padding, padding},
                cpuEngine(),
                forward()};
    }
};

dnnl::batch_normalization_forward::primitive_desc normForward(const memory::desc& y, double epsilon) {
    using Flags = dnnl::normalization_flags;
    return {{dnnl::prop_kind::forward_training, y, static_cast<float>(epsilon),
             Flags::use_scale | Flags::use_shift | Flags::fuse_norm_relu},
            cpuEngine()};
}

dnnl::batch_normalization_backward::primitive_desc normBackward(const memory::desc& y, double epsilon) {
    using Flags = dnnl::normalization_flags;
    return {{dnnl::prop_kind::backward, y, y, static_cast<float>(epsilon),
             Flags::use_scale | Flags::use_shift | Flags::fuse_norm_relu},
            cpuEngine(),
            normForward(y, epsilon)};
}

class ConvNormRelu : public torch::autograd::Function<ConvNormRelu> {
  public:
    static torch::Tensor forward(AutogradContext* context, const torch::Tensor& xAny, const torch::Tensor& weight,
                                 const torch::Tensor& bias, const torch::Tensor& normWeight,
                                 const torch::Tensor& normBias, torch::Tensor runningMean,
                                 torch::Tensor runningVariance, double momentum, double epsilon) {
        const torch::Tensor x = xAny.contiguous(kChannelsLast);
        const Convolution convolution(x, weight, bias);
        const auto convDescription = convolution.forward();
        const auto options = x.options();
        const auto yShape = convolution.y.dims();
        const torch::Tensor sums = torch::empty(yShape, options, kChannelsLast);
        dnnl::convolution_forward(convDescription)
            .execute(cpuStream(), {{DNNL_ARG_SRC, wrap(convolution.x, x)},
                                   {DNNL_ARG_WEIGHTS, inLayout(weight, convDescription.weights_desc())},
                                   {DNNL_ARG_BIAS, wrap(convolution.bias, bias)},
                                   {DNNL_ARG_DST, wrap(convolution.y, sums)}});

        const auto normDescription = normForward(convolution.y, epsilon);
        const torch::Tensor y = torch::empty(yShape, options, kChannelsLast);
        const torch::Tensor mean = torch::empty_like(bias), variance = torch::empty_like(bias);
        const auto mask = torch::empty({static_cast<std::int64_t>(normDescription.workspace_desc().get_size())},
                                       options.dtype(torch::kUInt8));
        dnnl::batch_normalization_forward(normDescription)
            .execute(cpuStream(), {{DNNL_ARG_SRC, wrap(convolution.y, sums)},
                                   {DNNL_ARG_SCALE, wrap(convolution.bias, normWeight)},
                                   {DNNL_ARG_SHIFT, wrap(convolution.bias, normBias)},
                                   {DNNL_ARG_MEAN, wrap(convolution.bias, mean)},
                                   {DNNL_ARG_VARIANCE, wrap(convolution.bias, variance)},
                                   {DNNL_ARG_WORKSPACE, wrap(normDescription.workspace_desc(), mask)},
                                   {DNNL_ARG_DST, wrap(convolution.y, y)}});
        cpuStream().wait();

        const double count = static_cast<double>(y.numel() / y.size(1));
        runningMean.mul_(1 - momentum).add_(mean, momentum);
        runningVariance.mul_(1 - momentum).add_(variance, momentum * count / std::max(1.0, count - 1));

        context->save_for_backward({x, weight, bias, normWeight, normBias, sums, mean, variance, mask});
        context->saved_data["epsilon"] = epsilon;
        return y;
    }

    static variable_list backward(AutogradContext* context, const variable_list& outputGradients) {
        const auto saved = context->get_saved_variables();
        const torch::Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &normWeight = saved[3],
                            &normBias = saved[4], &sums = saved[5], &mean = saved[6], &variance = saved[7],
                            &mask = saved[8];
        const torch::Tensor yGradient = outputGradients[0].contiguous(kChannelsLast);
        const Convolution convolution(x, weight, bias);

        const auto normDescription = normBackward(convolution.y, context->saved_data["epsilon"].toDouble());
        const torch::Tensor sumsGradient = torch::empty_like(sums);
        const torch::Tensor scaleGradient = torch::empty_like(bias), shiftGradient = torch::empty_like(bias);
        dnnl::batch_normalization_backward(normDescription)
            .execute(cpuStream(), {{DNNL_ARG_SRC, wrap(convolution.y, sums)},
                                   {DNNL_ARG_MEAN, wrap(convolution.bias, mean)},
                                   {DNNL_ARG_VARIANCE, wrap(convolution.bias, variance)},
                                   {DNNL_ARG_SCALE, wrap(convolution.bias, normWeight)},
                                   {DNNL_ARG_SHIFT, wrap(convolution.bias, normBias)},
                                   {DNNL_ARG_WORKSPACE, wrap(normDescription.workspace_desc(), mask)},
                                   {DNNL_ARG_DIFF_DST, wrap(convolution.y, yGradient)},
                                   {DNNL_ARG_DIFF_SRC, wrap(convolution.y, sumsGradient)},
                                   {DNNL_ARG_DIFF_SCALE, wrap(convolution.bias, scaleGradient)},
                                   {DNNL_ARG_DIFF_SHIFT, wrap(convolution.bias, shiftGradient)}});

        const torch::Tensor biasGradient = torch::empty_like(bias);
        const torch::Tensor weightGradient = gradientOfWeights(convolution, x, weight, sumsGradient, biasGradient);
        torch::Tensor xGradient;
        if (context->needs_input_grad(0)) xGradient = gradientOfInput(convolution, x, weight, sumsGradient);
        cpuStream().wait();
        return {xGradient,       weightGradient,  biasGradient,    scaleGradient,  shiftGradient,
                torch::Tensor(), torch::Tensor(), torch::Tensor(), torch::Tensor()};
    }

  private:
    static torch::Tensor gradientOfWeights(const Convolution& convolution, const torch::Tensor& x,
                                           const torch::Tensor& weight, const torch::Tensor& sumsGradient,
                                           const torch::Tensor& biasGradient) {
        const auto description = convolution.backwardWeights();
        const torch::Tensor result = torch::empty_like(weight);
        const memory target = wrap(weightDescription(result), result);
        const bool direct = description.diff_weights_desc() == target.get_desc();
        const memory computed = direct ? target : memory(description.diff_weights_desc(), cpuEngine());
        dnnl::convolution_backward_weights(description)
            .execute(cpuStream(), {{DNNL_ARG_SRC, wrap(convolution.x, x)},
                                   {DNNL_ARG_DIFF_DST, wrap(convolution.y, sumsGradient)},
                                   {DNNL_ARG_DIFF_WEIGHTS, computed},
                                   {DNNL_ARG_DIFF_BIAS, wrap(convolution.bias, biasGradient)}});
        if (!direct) reorder(computed, target);
        return result;
    }

    static torch::Tensor gradientOfInput(const Convolution& convolution, const torch::Tensor& x,
                                         const torch::Tensor& weight, const torch::Tensor& sumsGradient) {
        const auto description = convolution.backwardData();
        const torch::Tensor result = torch::empty_like(x);
        dnnl::convolution_backward_data(description)
            .execute(cpuStream(), {{DNNL_ARG_DIFF_DST, wrap(convolution.y, sumsGradient)},
                                   {DNNL_ARG_WEIGHTS, inLayout(weight, description.weights_desc())},
                                   {DNNL_ARG_DIFF_SRC, wrap(convolution.x, result)}});
        return result;
    }
};

}  // namespace

bool canFuse(const torch::Tensor& x) {
    return x.device().is_cpu() && (x.scalar_type() == torch::kFloat || x.scalar_type() == torch::kBFloat16) &&
           x.dim() == 4 && torch::GradMode::is_enabled();
}

torch::Tensor convNormRelu(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                           const torch::Tensor& normWeight, const torch::Tensor& normBias, torch::Tensor runningMean,
                           torch::Tensor runningVariance, double momentum, double epsilon) {
    return ConvNormRelu::apply(x, weight, bias, normWeight, normBias, runningMean, runningVariance, momentum, epsilon);
}

}  // namespace medseg
