#include <algorithm>
#include <vector>

#include "medseg/nn/matrix_kernel.h"
#include "medseg/nn/matrix_product.h"
#include "medseg/nn/sam3d/sparse_layers.h"

namespace medseg {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Rows that are gathered, multiplied and scattered at a time.
constexpr std::int64_t kChunk = 4096;
/// Values of the rows that a block of the forward product gathers and makes.
constexpr std::int64_t kValuesABlock = 1 << 18;

// Gathering and scattering run on OpenMP because the products do: threads of another pool would meet theirs, which wait
// busily between products.

void gatherRows(const Tensor& from, const std::int64_t* rows, std::int64_t count, const Tensor& to) {
    const std::int64_t width = from.size(1);
    const float* source = from.data_ptr<float>();
    float* target = to.data_ptr<float>();
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < count; ++i) std::copy_n(source + rows[i] * width, width, target + i * width);
}

/// No row occurs twice, so threads do not meet.
void scatterRows(const Tensor& from, const std::int64_t* rows, std::int64_t count, const Tensor& to) {
    const std::int64_t width = to.size(1);
    const float* source = from.data_ptr<float>();
    float* target = to.data_ptr<float>();
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < count; ++i) {
        const float* own = source + i * width;
        float* sum = target + rows[i] * width;
        for (std::int64_t c = 0; c < width; ++c) sum[c] += own[c];
    }
}

MatrixView rowsOf(const Tensor& matrix) {
    return {matrix.data_ptr<float>(), matrix.size(1), 1};
}

/// Calls body(tap, first pair, pairs) for chunks of all taps.
template <typename Body>
void forEachChunk(const SparseTaps& taps, const Body& body) {
    for (std::size_t tap = 0; tap < taps.input.size(); ++tap)
        for (std::int64_t first = 0; first < taps.input[tap].size(0); first += kChunk)
            body(tap, first, std::min(kChunk, taps.input[tap].size(0) - first));
}

class SparseProductFunction : public torch::autograd::Function<SparseProductFunction> {
  public:
    static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                          const SparseTapsPointer& taps) {
        context->save_for_backward({x, weight});
        context->saved_data["taps"] = c10::IValue::make_capsule(taps);
        return product(x, weight, *taps);
    }

    /// Blocks of output rows, each over all taps while its rows and their neighbours are in the cache. Blocks run on
    /// OpenMP like the products, which are serial within one.
    static Tensor product(const Tensor& x, const Tensor& weight, const SparseTaps& taps) {
        const std::int64_t out = weight.size(0), in = weight.size(2), step = weight.size(1) * in;
        const Tensor y = torch::zeros({taps.outputRows, out}, x.options());
        const std::int64_t block = std::clamp<std::int64_t>(kValuesABlock / (in + out), 256, kChunk);
        const std::int64_t blocks = (taps.outputRows + block - 1) / block;
        const float *values = x.data_ptr<float>(), *kernels = weight.data_ptr<float>();
        float* sums = y.data_ptr<float>();
#pragma omp parallel
        {
            std::vector<float> gathered(static_cast<std::size_t>(block * in)),
                made(static_cast<std::size_t>(block * out));
#pragma omp for schedule(dynamic)
            for (std::int64_t index = 0; index < blocks; ++index)
                for (std::size_t tap = 0; tap < taps.input.size(); ++tap) {
                    const auto* rows = taps.output[tap].data_ptr<std::int64_t>();
                    const auto* end = rows + taps.output[tap].size(0);
                    const auto* first = std::lower_bound(rows, end, index * block);
                    const std::int64_t count = std::lower_bound(first, end, (index + 1) * block) - first;
                    if (count == 0) continue;
                    const auto* input = taps.input[tap].data_ptr<std::int64_t>() + (first - rows);
                    for (std::int64_t i = 0; i < count; ++i)
                        std::copy_n(values + input[i] * in, in, gathered.data() + i * in);
                    multiplyMatrices({gathered.data(), in, 1}, {kernels + static_cast<std::int64_t>(tap) * in, 1, step},
                                     nullptr, count, in, out, made.data(), out);
                    for (std::int64_t i = 0; i < count; ++i) {
                        const float* own = made.data() + i * out;
                        float* sum = sums + first[i] * out;
                        for (std::int64_t c = 0; c < out; ++c) sum[c] += own[c];
                    }
                }
        }
        return y;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const auto saved = context->get_saved_variables();
        const Tensor &x = saved[0], &weight = saved[1];
        const auto taps = c10::static_intrusive_pointer_cast<SparseTaps>(context->saved_data["taps"].toCapsule());
        const Tensor g = gradients[0].contiguous();
        const std::int64_t out = weight.size(0), in = weight.size(2), step = weight.size(1) * in;
        const Tensor gathered = torch::empty({kChunk, in}, x.options()),
                     above = torch::empty({kChunk, out}, x.options());
        Tensor xGradient, weightGradient, one;
        if (context->needs_input_grad(0)) xGradient = torch::zeros_like(x);
        if (context->needs_input_grad(1)) {
            weightGradient = torch::zeros_like(weight);
            one = torch::empty({out, in}, x.options());
        }
        forEachChunk(*taps, [&](std::size_t tap, std::int64_t first, std::int64_t count) {
            const std::int64_t* input = taps->input[tap].data_ptr<std::int64_t>() + first;
            gatherRows(g, taps->output[tap].data_ptr<std::int64_t>() + first, count, above);
            if (weightGradient.defined()) {
                gatherRows(x, input, count, gathered);
                multiplyMatrices({above.data_ptr<float>(), 1, out}, rowsOf(gathered), nullptr, out, count, in,
                                 one.data_ptr<float>(), in);
                weightGradient.select(1, static_cast<std::int64_t>(tap)).add_(one);
            }
            if (xGradient.defined()) {
                const float* kernel = weight.data_ptr<float>() + static_cast<std::int64_t>(tap) * in;
                multiplyMatrices(rowsOf(above), {kernel, step, 1}, nullptr, count, out, in, gathered.data_ptr<float>(),
                                 in);
                scatterRows(gathered, input, count, xGradient);
            }
        });
        return {xGradient, weightGradient, Tensor()};
    }
};

bool isFloatOnCpu(const Tensor& tensor) {
    return tensor.device().is_cpu() && tensor.scalar_type() == torch::kFloat;
}

/// The same by torch's operators, for other types and devices.
Tensor composedProduct(const Tensor& x, const Tensor& weight, const SparseTaps& taps) {
    Tensor y = torch::zeros({taps.outputRows, weight.size(0)}, x.options());
    for (std::size_t tap = 0; tap < taps.input.size(); ++tap) {
        if (taps.input[tap].size(0) == 0) continue;
        const auto kernel = weight.select(1, static_cast<std::int64_t>(tap));
        const auto made = torch::matmul(x.index_select(0, taps.input[tap].to(x.device())), kernel.t());
        y = y.index_add(0, taps.output[tap].to(x.device()), made);
    }
    return y;
}

}  // namespace

Tensor sparseProduct(const Tensor& x, const Tensor& weight, const SparseTapsPointer& taps) {
    if (!isFloatOnCpu(x) || !isFloatOnCpu(weight)) return composedProduct(x, weight, *taps);
    const Tensor rows = x.contiguous(), kernels = weight.contiguous();
    if (torch::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad()))
        return SparseProductFunction::apply(rows, kernels, taps);
    return SparseProductFunction::product(rows, kernels, *taps);
}

}  // namespace medseg
