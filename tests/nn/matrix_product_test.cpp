// Linear layers and attention against the same formulas of libtorch in double precision, gradients included.
#include "medseg/nn/matrix_product.h"

#include <vector>

#include <gtest/gtest.h>
#include <omp.h>

namespace medseg {
namespace {

using Tensors = std::vector<torch::Tensor>;

void expectClose(const torch::Tensor& actual, const torch::Tensor& expected, const std::string& what) {
    ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
    ASSERT_TRUE(torch::isfinite(actual).all().item<bool>()) << what;
    const double scale = std::max(0.5, expected.abs().max().item<double>());
    EXPECT_LT((actual.to(torch::kDouble) - expected).abs().max().item<double>() / scale, 5e-6) << what;
}

/// The inputs again, in double precision, as leaves.
Tensors inDouble(const Tensors& inputs) {
    Tensors result;
    for (const auto& input : inputs) result.push_back(input.detach().to(torch::kDouble).requires_grad_());
    return result;
}

Tensors leaves(const std::vector<std::vector<std::int64_t>>& shapes) {
    Tensors result;
    for (const auto& shape : shapes) result.push_back(torch::randn(shape).requires_grad_());
    return result;
}

template <typename Product, typename Reference>
void expectSameValuesAndGradients(const Tensors& inputs, Product product, Reference reference) {
    const Tensors exactInputs = inDouble(inputs);
    const auto actual = product(inputs);
    const auto expected = reference(exactInputs);
    expectClose(actual, expected, "value");
    {
        torch::NoGradGuard noGradient;
        expectClose(product(inputs), expected, "value without gradients recorded");
    }
    const auto direction = torch::randn(expected.sizes(), torch::kDouble);
    const auto gradients = torch::autograd::grad({actual}, inputs, {direction.to(torch::kFloat)});
    const auto exact = torch::autograd::grad({expected}, exactInputs, {direction});
    for (std::size_t i = 0; i < inputs.size(); ++i)
        expectClose(gradients[i], exact[i], "gradient " + std::to_string(i));
}

torch::Tensor plainAttention(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, double scale,
                             const torch::Tensor& bias) {
    auto logits = torch::matmul(q, k.transpose(-2, -1)) * scale;
    if (bias.defined()) logits = logits + bias;
    return torch::matmul(torch::softmax(logits, -1), v);
}

struct LinearCase {
    std::vector<std::int64_t> shape;  ///< of x without its last axis
    std::int64_t in, out;
    bool bias;
};

class LinearProduct : public ::testing::TestWithParam<LinearCase> {};

TEST_P(LinearProduct, EqualsTheFormulaInDouble) {
    const auto& [shape, in, out, withBias] = GetParam();
    torch::manual_seed(5);
    auto xShape = shape;
    xShape.push_back(in);
    Tensors inputs = leaves({xShape, {out, in}});
    if (withBias) inputs.push_back(torch::randn({out}).requires_grad_());
    const auto biasOf = [](const Tensors& t) { return t.size() > 2 ? t[2] : torch::Tensor(); };
    expectSameValuesAndGradients(
        inputs, [&](const Tensors& t) { return linearProduct(t[0], t[1], biasOf(t)); },
        [&](const Tensors& t) { return torch::linear(t[0], t[1], biasOf(t)); });
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearProduct,
                         ::testing::Values(LinearCase{{2, 196}, 48, 144, true}, LinearCase{{1, 7}, 256, 2048, true},
                                           LinearCase{{3}, 5, 1, true}, LinearCase{{}, 33, 17, true},
                                           LinearCase{{2, 9, 10}, 96, 31, false}, LinearCase{{512}, 768, 64, true},
                                           LinearCase{{1, 1}, 1, 1, false}));

TEST(LinearProduct, TakesViews) {
    torch::manual_seed(6);
    // Rows of a wider matrix, a transposed matrix, a transposed weight.
    const Tensors inputs = leaves({{4, 10, 64}, {32, 6}});
    expectSameValuesAndGradients(
        inputs, [](const Tensors& t) { return linearProduct(t[0].slice(-1, 16, 48), t[1].t(), {}).transpose(0, 1); },
        [](const Tensors& t) { return torch::linear(t[0].slice(-1, 16, 48), t[1].t()).transpose(0, 1); });
    expectSameValuesAndGradients(
        inputs, [](const Tensors& t) { return linearProduct(t[0].transpose(1, 2).slice(-1, 0, 6), t[1], {}); },
        [](const Tensors& t) { return torch::linear(t[0].transpose(1, 2).slice(-1, 0, 6), t[1]); });
}

TEST(LinearProduct, TakesNoRowsAndOtherTypes) {
    const auto weight = torch::randn({3, 4});
    EXPECT_EQ(linearProduct(torch::zeros({0, 4}), weight, {}).sizes(), (std::vector<std::int64_t>{0, 3}));
    const auto x = torch::randn({2, 4}, torch::kDouble);
    EXPECT_TRUE(
        torch::equal(linearProduct(x, weight.to(torch::kDouble), {}), torch::linear(x, weight.to(torch::kDouble))));
}

struct AttentionCase {
    std::int64_t batch, heads, n, m, d;
    std::vector<std::int64_t> bias;  ///< its shape; empty = none
};

class AttentionProduct : public ::testing::TestWithParam<AttentionCase> {};

TEST_P(AttentionProduct, EqualsTheFormulaInDouble) {
    const auto& [batch, heads, n, m, d, bias] = GetParam();
    torch::manual_seed(7);
    Tensors inputs = leaves({{batch, heads, n, d}, {batch, heads, m, d}, {batch, heads, m, d}});
    if (!bias.empty()) inputs.push_back(torch::randn(bias).requires_grad_());
    const auto biasOf = [](const Tensors& t) { return t.size() > 3 ? t[3] : torch::Tensor(); };
    const double scale = 1 / std::sqrt(static_cast<double>(d));
    expectSameValuesAndGradients(
        inputs, [&](const Tensors& t) { return attentionProduct(t[0], t[1], t[2], scale, biasOf(t)); },
        [&](const Tensors& t) { return plainAttention(t[0], t[1], t[2], scale, biasOf(t)); });
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionProduct,
                         ::testing::Values(AttentionCase{2, 3, 196, 196, 64, {}}, AttentionCase{1, 2, 7, 1000, 16, {}},
                                           AttentionCase{1, 2, 1000, 7, 16, {}}, AttentionCase{3, 1, 1, 1, 8, {}},
                                           AttentionCase{1, 4, 49, 49, 32, {4, 49, 49}},
                                           AttentionCase{2, 2, 33, 70, 80, {2, 1, 1, 70}},
                                           AttentionCase{1, 1, 300, 600, 256, {1, 1, 300, 600}},
                                           AttentionCase{2, 1, 20, 25, 5, {20, 25}}));

TEST(AttentionProduct, TakesTheViewsOfOneProjection) {
    torch::manual_seed(8);
    const Tensors inputs = leaves({{2, 50, 3, 4, 16}});  // batch, tokens, (q, k, v), heads, d
    const auto split = [](const torch::Tensor& t) { return t.permute({2, 0, 3, 1, 4}).unbind(0); };
    expectSameValuesAndGradients(
        inputs,
        [&](const Tensors& t) {
            const auto parts = split(t[0]);
            return attentionProduct(parts[0], parts[1], parts[2], 0.25).transpose(1, 2).flatten(2);
        },
        [&](const Tensors& t) {
            const auto parts = split(t[0]);
            return plainAttention(parts[0], parts[1], parts[2], 0.25, {}).transpose(1, 2).flatten(2);
        });
}

TEST(AttentionProduct, LeavesOutKeysOfInfiniteBias) {
    torch::manual_seed(9);
    const auto q = torch::randn({1, 2, 40, 16}), k = torch::randn({1, 2, 700, 16}), v = torch::randn({1, 2, 700, 16});
    auto bias = torch::zeros({1, 1, 40, 700});
    bias.slice(-1, 0, 600).fill_(-std::numeric_limits<float>::infinity());  // the first blocks of keys are all left out
    const auto expected = attentionProduct(q, k.slice(2, 600), v.slice(2, 600), 0.3);
    EXPECT_LT((attentionProduct(q, k, v, 0.3, bias) - expected).abs().max().item<double>(), 1e-6);
}

TEST(AttentionProduct, KeepsLargeLogitsFinite) {
    const auto q = torch::full({1, 1, 3, 4}, 50.0), k = torch::randn({1, 1, 9, 4}) * 50;
    const auto v = torch::randn({1, 1, 9, 2}).repeat({1, 1, 1, 2});
    expectClose(attentionProduct(q, k, v, 1.0),
                plainAttention(q.to(torch::kDouble), k.to(torch::kDouble), v.to(torch::kDouble), 1.0, {}), "value");
}

struct GridCase {
    std::int64_t batch, heads, n, height, width, d;
};

class RelativePositionAttention : public ::testing::TestWithParam<GridCase> {};

TEST_P(RelativePositionAttention, EqualsTheFormulaInDouble) {
    const auto& [batch, heads, n, height, width, d] = GetParam();
    torch::manual_seed(10);
    const std::int64_t m = height * width;
    const Tensors inputs = leaves({{batch, heads, n, d},
                                   {batch, heads, m, d},
                                   {batch, heads, m, d},
                                   {batch, heads, n, height},
                                   {batch, heads, n, width}});
    expectSameValuesAndGradients(
        inputs, [](const Tensors& t) { return relativePositionAttention(t[0], t[1], t[2], 0.2, t[3], t[4]); },
        [](const Tensors& t) {
            return plainAttention(t[0], t[1], t[2], 0.2, (t[3].unsqueeze(-1) + t[4].unsqueeze(-2)).flatten(-2));
        });
}

INSTANTIATE_TEST_SUITE_P(Shapes, RelativePositionAttention,
                         ::testing::Values(GridCase{4, 3, 196, 14, 14, 64}, GridCase{1, 2, 1024, 32, 32, 64},
                                           GridCase{1, 2, 60, 6, 10, 16}, GridCase{2, 1, 5, 1, 40, 24},
                                           GridCase{1, 1, 3, 9, 1, 80}));

TEST(MatrixProducts, DoNotDependOnTheNumberOfThreads) {
    torch::manual_seed(11);
    const Tensors inputs = leaves({{3, 196, 96}, {288, 96}, {288}, {3, 2, 196, 14}, {3, 2, 196, 14}});
    const auto resultsWith = [&](int threads) {
        ::omp_set_num_threads(threads);
        const auto parts =
            linearProduct(inputs[0], inputs[1], inputs[2]).view({3, 196, 3, 2, 48}).permute({2, 0, 3, 1, 4});
        const auto y = relativePositionAttention(parts[0], parts[1], parts[2], 0.2, inputs[3], inputs[4]);
        Tensors results = torch::autograd::grad({y.square().sum()}, inputs);
        results.push_back(y.detach());
        return results;
    };
    const int before = ::omp_get_max_threads();
    const Tensors one = resultsWith(1), two = resultsWith(2), three = resultsWith(3);
    ::omp_set_num_threads(before);
    for (std::size_t i = 0; i < one.size(); ++i) {
        EXPECT_TRUE(torch::equal(one[i], two[i])) << i;
        EXPECT_TRUE(torch::equal(one[i], three[i])) << i;
    }
}

}  // namespace
}  // namespace medseg
