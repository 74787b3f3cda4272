// Losses between logits and label maps. Targets stay label maps: 117 one-hot planes are never built.
#pragma once

#include <torch/torch.h>

namespace medseg {

enum class OutputKind {
    Sigmoid,  ///< channel k is structure id k+1; structures may overlap
    Softmax   ///< channel 0 is background, channel k is structure id k
};

struct SegmentationLossOptions {
    OutputKind output = OutputKind::Sigmoid;
    double crossEntropyWeight = 1;  ///< BCE with logits (sigmoid) or CE (softmax), mean over all elements or pixels
    double diceWeight = 0;          ///< soft Dice loss, mean over structures, sums over the whole batch
    bool presentOnly = true;        ///< Dice over structures that occur in the batch only (else absent ones count too)
    double smooth = 1e-5;           ///< added to numerator and denominator of every Dice
};

/// loss = crossEntropyWeight * CE + diceWeight * (1 - mean_c (2 sum(p t) + s) / (sum(p) + sum(t) + s)).
/// `logits`: float (batch, channels, height, width). `labels`: uint8 or int16 (batch, layers, height, width); a value
/// is a structure id (0 = background, bit pattern unsigned); a pixel belongs to every structure that one of its layers
/// names. Softmax takes one layer. Returns a scalar with gradient. CPU: one fused pass forward and one backward, bound
/// by memory; elsewhere torch operations. Both give the same values.
torch::Tensor segmentationLoss(const torch::Tensor& logits, const torch::Tensor& labels,
                               const SegmentationLossOptions& options);

/// The same in plain torch operations (any device, any order of gradients): the reference of the fused form.
torch::Tensor segmentationLossReference(const torch::Tensor& logits, const torch::Tensor& labels,
                                        const SegmentationLossOptions& options);

/// Adds, for every structure, intersection, predicted and reference pixels to `counts` (int64, (structures, 3), CPU).
/// Prediction: logit >= `threshold` as log-odds for sigmoid, the strongest channel for softmax.
void countOverlap(const torch::Tensor& logits, const torch::Tensor& labels, OutputKind output, double threshold,
                  torch::Tensor& counts);

/// Mean over structures of 2 I / (P + R); structures with neither prediction nor reference are left out. NaN if none is
/// left.
double meanDice(const torch::Tensor& counts);

}  // namespace medseg
