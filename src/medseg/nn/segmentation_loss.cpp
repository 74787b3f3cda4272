#include "medseg/nn/segmentation_loss.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>

#include "medseg/nn/vector_exp.h"

namespace medseg {
namespace {

/// Sums over the batch for one structure.
struct ClassSums {
    std::vector<double> probability, intersection, reference;
    explicit ClassSums(std::int64_t classes) : probability(classes), intersection(classes), reference(classes) {}
    void add(const ClassSums& other) {
        for (std::size_t c = 0; c < probability.size(); ++c) {
            probability[c] += other.probability[c];
            intersection[c] += other.intersection[c];
            reference[c] += other.reference[c];
        }
    }
};

/// Rows of one image are a unit of work, so sums are combined in the same order for any number of threads.
struct BatchLayout {
    std::int64_t batch, channels, height, width, layers;
    std::int64_t rows() const { return batch * height; }
    std::int64_t pixels() const { return batch * height * width; }
};

std::int64_t labelAt(const std::uint8_t* labels, std::int64_t i) {
    return labels[i];
}
std::int64_t labelAt(const std::int16_t* labels, std::int64_t i) {
    return static_cast<std::uint16_t>(labels[i]);
}

/// Pixel -> its distinct targets as channel numbers; out-of-range ids count as background.
template <typename LabelType>
struct Targets {
    const LabelType* labels;
    BatchLayout layout;
    OutputKind output;

    /// Calls function(channel) for each structure of the pixel.
    template <typename Function>
    void forEach(std::int64_t image, std::int64_t pixelInImage, Function&& function) const {
        const std::int64_t plane = layout.height * layout.width;
        for (std::int64_t layer = 0; layer < layout.layers; ++layer) {
            const std::int64_t id = labelAt(labels, (image * layout.layers + layer) * plane + pixelInImage);
            const std::int64_t channel = output == OutputKind::Sigmoid ? id - 1 : id;
            if (channel < 0 || channel >= layout.channels) continue;
            if (layer > 0 && namedBefore(image, pixelInImage, layer, id)) continue;
            function(channel);
        }
    }

  private:
    bool namedBefore(std::int64_t image, std::int64_t pixel, std::int64_t layer, std::int64_t id) const {
        const std::int64_t plane = layout.height * layout.width;
        for (std::int64_t earlier = 0; earlier < layer; ++earlier)
            if (labelAt(labels, (image * layout.layers + earlier) * plane + pixel) == id) return true;
        return false;
    }
};

/// Probabilities of one pixel; returns its softplus sum (sigmoid). Products of up to 120 factors below 2 fit a float,
/// so one logarithm serves that many channels.
double sigmoidPixel(const float* x, float* p, std::int64_t channels) {
    constexpr std::int64_t kFactors = 120;
    double softplus = 0;
    for (std::int64_t begin = 0; begin < channels; begin += kFactors) {
        const std::int64_t end = std::min(channels, begin + kFactors);
        float product = 1, positive = 0;
#pragma GCC ivdep
        for (std::int64_t c = begin; c < end; ++c) {
            const float e = vectorExp(-std::abs(x[c]));
            const float inverse = 1.0f / (1.0f + e);
            p[c] = x[c] >= 0 ? inverse : e * inverse;
        }
#pragma omp simd reduction(* : product) reduction(+ : positive)
        for (std::int64_t c = begin; c < end; ++c) {
            product *= std::max(p[c], 1.0f - p[c]);
            positive += std::max(x[c], 0.0f);
        }
        softplus += positive - std::log(static_cast<double>(product));
    }
    return softplus;
}

/// Probabilities of one pixel; returns log(sum(exp(x))).
double softmaxPixel(const float* x, float* p, std::int64_t channels) {
    float highest = x[0];
#pragma omp simd reduction(max : highest)
    for (std::int64_t c = 0; c < channels; ++c) highest = std::max(highest, x[c]);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t c = 0; c < channels; ++c) {
        p[c] = vectorExp(x[c] - highest);
        sum += p[c];
    }
    const float inverse = 1.0f / sum;
    for (std::int64_t c = 0; c < channels; ++c) p[c] *= inverse;
    return highest + std::log(static_cast<double>(sum));
}

/// Forward pass over one image row: fills `p`, adds to `sums`, returns the row's cross-entropy sum.
template <typename LabelType>
double forwardRow(const float* x, float* p, const Targets<LabelType>& targets, std::int64_t row, ClassSums& sums) {
    const BatchLayout& layout = targets.layout;
    const std::int64_t channels = layout.channels;
    const std::int64_t image = row / layout.height;
    const std::int64_t firstPixel = (row % layout.height) * layout.width;
    std::vector<float> rowProbability(channels, 0.0f);
    double crossEntropy = 0;
    for (std::int64_t column = 0; column < layout.width; ++column, x += channels, p += channels) {
        crossEntropy +=
            targets.output == OutputKind::Sigmoid ? sigmoidPixel(x, p, channels) : softmaxPixel(x, p, channels);
        for (std::int64_t c = 0; c < channels; ++c) rowProbability[c] += p[c];
        targets.forEach(image, firstPixel + column, [&](std::int64_t channel) {
            crossEntropy -= x[channel];
            sums.intersection[channel] += p[channel];
            sums.reference[channel] += 1;
        });
    }
    for (std::int64_t c = 0; c < channels; ++c) sums.probability[c] += rowProbability[c];
    return crossEntropy;
}

/// d(loss)/d(probability of class c) = constant[c] + onTarget[c] * t.
struct DiceGradient {
    std::vector<float> constant, onTarget;
    double loss = 0;
};

DiceGradient diceGradient(const ClassSums& sums, const SegmentationLossOptions& options) {
    const auto classes = static_cast<std::int64_t>(sums.probability.size());
    DiceGradient result;
    result.constant.assign(classes, 0.0f);
    result.onTarget.assign(classes, 0.0f);
    if (options.diceWeight == 0) return result;
    const std::int64_t first = options.output == OutputKind::Softmax ? 1 : 0;  // background has no Dice
    std::vector<std::int64_t> counted;
    for (std::int64_t c = first; c < classes; ++c)
        if (!options.presentOnly || sums.reference[c] > 0) counted.push_back(c);
    if (counted.empty()) return result;
    const double share = options.diceWeight / static_cast<double>(counted.size());
    for (const std::int64_t c : counted) {
        const double numerator = 2 * sums.intersection[c] + options.smooth;
        const double denominator = sums.probability[c] + sums.reference[c] + options.smooth;
        result.loss += share * (1 - numerator / denominator);
        result.constant[c] = static_cast<float>(share * numerator / (denominator * denominator));
        result.onTarget[c] = static_cast<float>(-2 * share / denominator);
    }
    return result;
}

/// Turns the probabilities of one row into the gradient of the logits, in place.
template <typename LabelType>
void backwardRow(float* p, const Targets<LabelType>& targets, std::int64_t row, const DiceGradient& dice, float scale,
                 float crossEntropyScale) {
    const BatchLayout& layout = targets.layout;
    const std::int64_t channels = layout.channels;
    const std::int64_t image = row / layout.height;
    const std::int64_t firstPixel = (row % layout.height) * layout.width;
    const bool softmax = targets.output == OutputKind::Softmax;
    for (std::int64_t column = 0; column < layout.width; ++column, p += channels) {
        // Gradients of target channels need their probability, which the dense loop below overwrites.
        std::array<std::pair<std::int64_t, float>, 8> hit{};
        std::size_t hits = 0;
        targets.forEach(image, firstPixel + column, [&](std::int64_t channel) {
            if (hits < hit.size()) hit[hits++] = {channel, p[channel]};
        });
        float mean = 0;  // softmax: sum_j p_j dL/dp_j
        if (softmax) {
#pragma omp simd reduction(+ : mean)
            for (std::int64_t c = 0; c < channels; ++c) mean += p[c] * dice.constant[c];
            for (std::size_t h = 0; h < hits; ++h) mean += hit[h].second * dice.onTarget[hit[h].first];
#pragma GCC ivdep
            for (std::int64_t c = 0; c < channels; ++c)
                p[c] = scale * p[c] * (crossEntropyScale + dice.constant[c] - mean);
        } else {
#pragma GCC ivdep
            for (std::int64_t c = 0; c < channels; ++c)
                p[c] = scale * p[c] * (crossEntropyScale + dice.constant[c] * (1.0f - p[c]));
        }
        for (std::size_t h = 0; h < hits; ++h) {
            const auto [channel, probability] = hit[h];
            const float slope = softmax ? probability : probability * (1.0f - probability);
            p[channel] += scale * (slope * dice.onTarget[channel] - crossEntropyScale);
        }
    }
}

template <typename LabelType>
Targets<LabelType> makeTargets(const torch::Tensor& labels, const BatchLayout& layout, OutputKind output) {
    return {labels.data_ptr<LabelType>(), layout, output};
}

/// Calls function(targets) with the label type of the tensor.
template <typename Function>
auto withTargets(const torch::Tensor& labels, const BatchLayout& layout, OutputKind output, Function&& function) {
    if (labels.scalar_type() == torch::kUInt8) return function(makeTargets<std::uint8_t>(labels, layout, output));
    return function(makeTargets<std::int16_t>(labels, layout, output));
}

BatchLayout layoutOf(const torch::Tensor& logits, const torch::Tensor& labels) {
    TORCH_CHECK(logits.dim() == 4 && labels.dim() == 4 && labels.size(0) == logits.size(0) &&
                    labels.size(2) == logits.size(2) && labels.size(3) == logits.size(3),
                "logits and labels differ in shape");
    return {logits.size(0), logits.size(1), logits.size(2), logits.size(3), labels.size(1)};
}

class FusedSegmentationLoss : public torch::autograd::Function<FusedSegmentationLoss> {
  public:
    static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& logits,
                                 const torch::Tensor& labels, const SegmentationLossOptions& options) {
        const BatchLayout layout = layoutOf(logits, labels);
        const auto x = logits.contiguous(torch::MemoryFormat::ChannelsLast);
        const auto ids = labels.contiguous();
        auto probability = torch::empty_like(x, torch::MemoryFormat::ChannelsLast);
        const std::int64_t rowSize = layout.width * layout.channels;
        std::vector<ClassSums> imageSums(layout.batch, ClassSums(layout.channels));
        std::vector<double> imageCrossEntropy(layout.batch, 0.0);
        withTargets(ids, layout, options.output, [&](const auto& targets) {
            const float* source = x.template data_ptr<float>();
            float* target = probability.template data_ptr<float>();
            at::parallel_for(0, layout.batch, 1, [&](std::int64_t first, std::int64_t last) {
                for (std::int64_t image = first; image < last; ++image)
                    for (std::int64_t row = image * layout.height; row < (image + 1) * layout.height; ++row)
                        imageCrossEntropy[image] +=
                            forwardRow(source + row * rowSize, target + row * rowSize, targets, row, imageSums[image]);
            });
        });
        ClassSums sums(layout.channels);
        double crossEntropy = 0;
        for (std::int64_t image = 0; image < layout.batch; ++image) {
            sums.add(imageSums[image]);
            crossEntropy += imageCrossEntropy[image];
        }
        const std::int64_t terms =
            options.output == OutputKind::Sigmoid ? layout.pixels() * layout.channels : layout.pixels();
        const double crossEntropyScale = options.crossEntropyWeight / static_cast<double>(terms);
        auto dice = std::make_shared<DiceGradient>(diceGradient(sums, options));
        const double loss = crossEntropy * crossEntropyScale + dice->loss;
        // The probabilities become the gradient in place: no third tensor of this size.
        float* gradient = probability.data_ptr<float>();
        withTargets(ids, layout, options.output, [&](const auto& targets) {
            at::parallel_for(0, layout.rows(), 4, [&](std::int64_t first, std::int64_t last) {
                for (std::int64_t row = first; row < last; ++row)
                    backwardRow(gradient + row * rowSize, targets, row, *dice, 1.0f,
                                static_cast<float>(crossEntropyScale));
            });
        });
        context->save_for_backward({probability});
        return torch::full({}, loss, logits.options());
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                   torch::autograd::variable_list gradients) {
        torch::Tensor gradient = context->get_saved_variables()[0];
        const float scale = gradients[0].item<float>();
        if (scale != 1.0f) gradient = gradient * scale;
        return {gradient, torch::Tensor(), torch::Tensor()};
    }
};

torch::Tensor oneHot(const torch::Tensor& labels, std::int64_t channels, OutputKind output) {
    auto ids = labels.to(torch::kLong);
    if (labels.scalar_type() == torch::kInt16) ids = ids.bitwise_and(0xffff);
    const auto first = output == OutputKind::Sigmoid ? 1 : 0;
    const auto wanted = torch::arange(first, channels + first, ids.options()).view({1, 1, channels, 1, 1});
    return ids.unsqueeze(2).eq(wanted).any(1).to(torch::kFloat);
}

}  // namespace

torch::Tensor segmentationLoss(const torch::Tensor& logits, const torch::Tensor& labels,
                               const SegmentationLossOptions& options) {
    if (logits.is_cpu() && logits.scalar_type() == torch::kFloat)
        return FusedSegmentationLoss::apply(logits, labels, options);
    return segmentationLossReference(logits, labels, options);
}

torch::Tensor segmentationLossReference(const torch::Tensor& logits, const torch::Tensor& labels,
                                        const SegmentationLossOptions& options) {
    const bool sigmoid = options.output == OutputKind::Sigmoid;
    const auto x = logits.to(torch::kFloat);
    const auto t = oneHot(labels, x.size(1), options.output);
    const auto p = sigmoid ? torch::sigmoid(x) : torch::softmax(x, 1);
    const auto crossEntropy =
        sigmoid ? torch::binary_cross_entropy_with_logits(x, t) : -(torch::log_softmax(x, 1) * t).sum(1).mean();
    auto loss = options.crossEntropyWeight * crossEntropy;
    if (options.diceWeight == 0) return loss;
    const auto intersection = (p * t).sum({0, 2, 3});
    const auto reference = t.sum({0, 2, 3});
    const auto dice = (2 * intersection + options.smooth) / (p.sum({0, 2, 3}) + reference + options.smooth);
    auto counted = options.presentOnly ? reference.gt(0) : torch::ones_like(reference, torch::kBool);
    if (!sigmoid) counted[0] = false;
    if (counted.any().item<bool>()) loss = loss + options.diceWeight * (1 - dice.masked_select(counted)).mean();
    return loss;
}

void countOverlap(const torch::Tensor& logits, const torch::Tensor& labels, OutputKind output, double threshold,
                  torch::Tensor& counts) {
    const auto x = logits.detach().to(torch::kCPU, torch::kFloat).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto ids = labels.to(torch::kCPU).contiguous();
    const BatchLayout layout = layoutOf(x, ids);
    const bool sigmoid = output == OutputKind::Sigmoid;
    const std::int64_t structures = sigmoid ? layout.channels : layout.channels - 1;
    const auto limit = static_cast<float>(std::log(threshold / (1 - threshold)));
    const std::int64_t plane = layout.height * layout.width;
    std::vector<std::vector<std::int64_t>> partial(layout.batch, std::vector<std::int64_t>(structures * 3, 0));
    withTargets(ids, layout, output, [&](const auto& targets) {
        at::parallel_for(0, layout.batch, 1, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t image = first; image < last; ++image) {
                auto& sums = partial[image];
                const float* values = x.template data_ptr<float>() + image * plane * layout.channels;
                for (std::int64_t pixel = 0; pixel < plane; ++pixel, values += layout.channels) {
                    std::int64_t strongest = 0;
                    if (sigmoid) {
                        for (std::int64_t c = 0; c < layout.channels; ++c)
                            if (values[c] >= limit) ++sums[3 * c + 1];
                    } else {
                        strongest = std::max_element(values, values + layout.channels) - values;
                        if (strongest > 0) ++sums[3 * (strongest - 1) + 1];
                    }
                    targets.forEach(image, pixel, [&](std::int64_t channel) {
                        if (!sigmoid && channel == 0) return;
                        const std::int64_t structure = sigmoid ? channel : channel - 1;
                        const bool hit = sigmoid ? values[channel] >= limit : strongest == channel;
                        if (hit) ++sums[3 * structure];
                        ++sums[3 * structure + 2];
                    });
                }
            }
        });
    });
    auto* total = counts.data_ptr<std::int64_t>();
    for (const auto& sums : partial)
        for (std::size_t i = 0; i < sums.size(); ++i) total[i] += sums[i];
}

double meanDice(const torch::Tensor& counts) {
    const auto* c = counts.data_ptr<std::int64_t>();
    double sum = 0;
    std::int64_t counted = 0;
    for (std::int64_t i = 0; i < counts.size(0); ++i) {
        const std::int64_t denominator = c[3 * i + 1] + c[3 * i + 2];
        if (denominator == 0) continue;
        sum += 2.0 * static_cast<double>(c[3 * i]) / static_cast<double>(denominator);
        ++counted;
    }
    return counted > 0 ? sum / static_cast<double>(counted) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace medseg
