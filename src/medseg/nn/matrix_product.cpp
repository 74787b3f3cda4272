#include "medseg/nn/matrix_product.h"

#include "medseg/nn/attention_kernel.h"
#include "medseg/nn/autocast.h"
#include "medseg/nn/matrix_kernel.h"

namespace medseg {
namespace {

using torch::Tensor;
/// What may be missing goes through autograd as this; an undefined tensor cannot.
using OptionalTensor = c10::optional<Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool isFloatOnCpu(const Tensor& tensor) {
    return !tensor.defined() ||
           (tensor.device().is_cpu() && tensor.scalar_type() == torch::kFloat && tensor.layout() == torch::kStrided);
}

template <typename... Tensors>
bool needsGradient(const Tensors&... tensors) {
    return torch::GradMode::is_enabled() && ((tensors.defined() && tensors.requires_grad()) || ...);
}

OptionalTensor optional(const Tensor& tensor) {
    return tensor.defined() ? OptionalTensor(tensor) : c10::nullopt;
}

/// A matrix with one step of 1.
MatrixView viewOf(const Tensor& matrix) {
    return {matrix.data_ptr<float>(), matrix.stride(0), matrix.stride(1)};
}
MatrixView transposed(const MatrixView& matrix) {
    return {matrix.data, matrix.columnStep, matrix.rowStep};
}
Tensor compact(const Tensor& matrix) {
    return matrix.stride(0) == 1 || matrix.stride(1) == 1 ? matrix : matrix.contiguous();
}

/// x (rows, in) times weight^T (out, in).
Tensor linearForward(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const Tensor y = torch::empty({x.size(0), weight.size(0)}, x.options());
    const Tensor compactBias = bias.defined() ? bias.contiguous() : bias;
    multiplyMatrices(viewOf(x), transposed(viewOf(weight)), bias.defined() ? compactBias.data_ptr<float>() : nullptr,
                     x.size(0), x.size(1), weight.size(0), y.data_ptr<float>(), y.size(1));
    return y;
}

class LinearFunction : public torch::autograd::Function<LinearFunction> {
  public:
    static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const OptionalTensor& bias) {
        context->save_for_backward({x, weight});
        context->saved_data["bias"] = bias.has_value();
        return linearForward(x, weight, bias.value_or(Tensor()));
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const auto saved = context->get_saved_variables();
        const Tensor &x = saved[0], &weight = saved[1];
        const Tensor g = compact(gradients[0]);
        const auto rows = x.size(0), in = x.size(1), out = weight.size(0);
        Tensor xGradient, weightGradient, biasGradient;
        if (context->needs_input_grad(0)) {
            xGradient = torch::empty({rows, in}, x.options());
            multiplyMatrices(viewOf(g), viewOf(weight), nullptr, rows, out, in, xGradient.data_ptr<float>(), in);
        }
        if (context->needs_input_grad(1)) {
            weightGradient = torch::empty({out, in}, x.options());
            multiplyMatrices(transposed(viewOf(g)), viewOf(x), nullptr, out, rows, in, weightGradient.data_ptr<float>(),
                             in);
        }
        if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) {
            biasGradient = torch::empty({out}, x.options());
            sumRows(viewOf(g), rows, out, biasGradient.data_ptr<float>());
        }
        return {xGradient, weightGradient, biasGradient};
    }
};

template <typename Float = const float>
HeadView<Float> heads(const Tensor& tensor) {
    return {tensor.data_ptr<float>(), tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}

/// (batch, heads, rows, columns), columns side by side.
Tensor withAdjacentColumns(const Tensor& tensor) {
    return tensor.size(3) == 1 || tensor.stride(3) == 1 ? tensor : tensor.contiguous();
}

/// Memory in the order (batch, rows, heads, d), in which models put the heads side by side again.
Tensor emptyHeads(const Tensor& like) {
    return torch::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options()).transpose(1, 2);
}

/// The operands of one attention, ready for the kernels.
struct AttentionOperands {
    Tensor q, k, v;
    Tensor bias;           ///< (batch, heads, n, m), expanded; or undefined
    Tensor height, width;  ///< or undefined
    AttentionShape shape;

    AttentionOperands(const Tensor& qAny, const Tensor& kAny, const Tensor& vAny, double scale, const Tensor& biasAny,
                      const Tensor& heightAny, const Tensor& widthAny)
        : q(withAdjacentColumns(qAny)),
          k(withAdjacentColumns(kAny)),
          v(withAdjacentColumns(vAny)),
          shape{q.size(0), q.size(1), q.size(2), k.size(2), q.size(3), static_cast<float>(scale)} {
        if (biasAny.defined()) {
            bias = biasAny.expand({shape.batch, shape.heads, shape.queries, shape.keys});
            if (bias.size(3) > 1 && bias.stride(3) > 1) bias = bias.contiguous();
        }
        if (heightAny.defined()) {
            height = withAdjacentColumns(heightAny);
            width = withAdjacentColumns(widthAny);
        }
    }

    AttentionBias biasView() const {
        AttentionBias view;
        if (bias.defined()) {
            view.dense = heads(bias);
            view.denseColumnStep = bias.size(3) > 1 ? bias.stride(3) : 1;
        }
        if (height.defined()) {
            view.height = heads(height);
            view.width = heads(width);
            view.gridHeight = height.size(3);
            view.gridWidth = width.size(3);
        }
        return view;
    }

    Tensor forward(float* logSums) const {
        const Tensor output = emptyHeads(q);
        attentionForward(shape, heads(q), heads(k), heads(v), biasView(), heads<float>(output), logSums);
        return output;
    }
};

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
  public:
    static Tensor forward(AutogradContext* context, const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                          const OptionalTensor& biasIn, const OptionalTensor& heightIn, const OptionalTensor& widthIn) {
        const Tensor bias = biasIn.value_or(Tensor()), height = heightIn.value_or(Tensor()),
                     width = widthIn.value_or(Tensor());
        const AttentionOperands operands(q, k, v, scale, bias, height, width);
        const Tensor logSums = torch::empty({q.size(0), q.size(1), q.size(2)}, q.options());
        const Tensor output = operands.forward(logSums.data_ptr<float>());
        context->save_for_backward({q, k, v, bias, height, width, output, logSums});
        context->saved_data["scale"] = scale;
        return output;
    }

    static variable_list backward(AutogradContext* context, const variable_list& outputGradients) {
        const auto saved = context->get_saved_variables();
        const Tensor &bias = saved[3], &output = saved[6], &logSums = saved[7];
        const AttentionOperands operands(saved[0], saved[1], saved[2], context->saved_data["scale"].toDouble(), bias,
                                         saved[4], saved[5]);
        const Tensor outputGradient = withAdjacentColumns(outputGradients[0]);
        const Tensor q = emptyHeads(operands.q), k = emptyHeads(operands.k), v = emptyHeads(operands.v);
        Tensor dense, height, width;
        AttentionGradients gradients;
        gradients.q = heads<float>(q);
        gradients.k = heads<float>(k);
        gradients.v = heads<float>(v);
        if (bias.defined() && bias.requires_grad()) {
            dense = torch::empty(operands.bias.sizes(), q.options());
            gradients.dense = heads<float>(dense);
        }
        if (operands.height.defined()) {
            height = torch::empty(operands.height.sizes(), q.options());
            width = torch::empty(operands.width.sizes(), q.options());
            gradients.height = heads<float>(height);
            gradients.width = heads<float>(width);
        }
        attentionBackward(operands.shape, heads(operands.q), heads(operands.k), heads(operands.v), operands.biasView(),
                          heads(output), logSums.data_ptr<float>(), heads(outputGradient), gradients);
        if (dense.defined()) dense = at::sum_to(dense, bias.sizes());
        return {q, k, v, Tensor(), dense, height, width};
    }
};

bool kernelsTake(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias) {
    return isFloatOnCpu(q) && isFloatOnCpu(k) && isFloatOnCpu(v) && isFloatOnCpu(bias) && q.dim() == 4 &&
           k.dim() == 4 && v.dim() == 4 && k.sizes() == v.sizes() && q.size(0) == k.size(0) && q.size(1) == k.size(1) &&
           q.size(3) == k.size(3) && q.size(3) > 0 && q.size(3) <= kLargestHeadDepth && k.size(2) > 0;
}

Tensor composedAttention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, const Tensor& bias) {
    Tensor logits = torch::matmul(q * scale, k.transpose(-2, -1));
    if (bias.defined()) logits = logits + bias;
    return torch::matmul(torch::softmax(logits, -1), v);
}

}  // namespace

Tensor matrixProduct(const Tensor& a, const Tensor& b) {
    const torch::NoGradGuard noGradient;
    if (!isFloatOnCpu(a) || !isFloatOnCpu(b)) return torch::mm(a, b);
    const Tensor left = compact(a), right = compact(b);
    const Tensor y = torch::empty({a.size(0), b.size(1)}, a.options());
    multiplyMatrices(viewOf(left), viewOf(right), nullptr, a.size(0), a.size(1), b.size(1), y.data_ptr<float>(),
                     y.size(1));
    return y;
}

Tensor linearProduct(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    if (!isFloatOnCpu(x) || !isFloatOnCpu(weight) || !isFloatOnCpu(bias) || x.dim() == 0 || weight.dim() != 2 ||
        x.size(-1) != weight.size(1) || (bias.defined() && bias.numel() != weight.size(0)))
        return torch::linear(x, weight, bias);
    if (const Tensor half = inAutocastPrecision(x); half.scalar_type() != x.scalar_type())
        return torch::linear(half, inAutocastPrecision(weight), bias.defined() ? inAutocastPrecision(bias) : bias)
            .to(torch::kFloat);
    auto shape = x.sizes().vec();
    shape.back() = weight.size(0);
    const Tensor rows = compact(x.reshape({-1, x.size(-1)})), matrix = compact(weight);
    const Tensor y = needsGradient(x, weight, bias) ? LinearFunction::apply(rows, matrix, optional(bias))
                                                    : linearForward(rows, matrix, bias);
    return y.view(shape);
}

Tensor attentionProduct(const Tensor& q, const Tensor& k, const Tensor& v, double scale, const Tensor& bias) {
    if (!kernelsTake(q, k, v, bias)) return composedAttention(q, k, v, scale, bias);
    if (needsGradient(q, k, v, bias))
        return AttentionFunction::apply(q, k, v, scale, optional(bias), OptionalTensor(), OptionalTensor());
    return AttentionOperands(q, k, v, scale, bias, {}, {}).forward(nullptr);
}

Tensor relativePositionAttention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                                 const Tensor& relHeight, const Tensor& relWidth) {
    TORCH_CHECK(relHeight.size(-1) * relWidth.size(-1) == k.size(-2), "the keys do not fill the grid");
    if (!kernelsTake(q, k, v, relHeight) || !isFloatOnCpu(relWidth))
        return composedAttention(q, k, v, scale, (relHeight.unsqueeze(-1) + relWidth.unsqueeze(-2)).flatten(-2));
    if (needsGradient(q, k, v, relHeight, relWidth))
        return AttentionFunction::apply(q, k, v, scale, OptionalTensor(), optional(relHeight), optional(relWidth));
    return AttentionOperands(q, k, v, scale, {}, relHeight, relWidth).forward(nullptr);
}

}  // namespace medseg
