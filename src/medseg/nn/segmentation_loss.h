// Losses between logits and label maps. Targets stay label maps: 117 one-hot planes are never built.
#pragma once

#include <vector>

#include <torch/torch.h>

namespace medseg {

enum class OutputKind {
    Sigmoid,  ///< channel k is structure id k+1; structures may overlap
    Softmax   ///< channel 0 is background, channel k is structure id k
};

/// How the overlap term compares soft prediction p and reference t. I = sum(p t), P = sum(p), R = sum(t).
enum class OverlapForm {
    Dice,         ///< 1 - (2 I + s) / (P + R + s), mean over structures
    Generalized,  ///< 1 - (2 sum_c w I + s) / (sum_c w (P + R) + s), w = 1 / R^2 (Sudre et al. 2017)
    Tversky       ///< 1 - (I + s) / (I + a (P - I) + b (R - I) + s), mean over structures (Salehi et al. 2017)
};

/// loss = crossEntropyWeight * (cross entropy or focal) + diceWeight * overlap term. Every part equals MONAI's loss of
/// that name: DiceLoss, GeneralizedDiceLoss, TverskyLoss (reduction mean), FocalLoss, DiceCELoss.
struct SegmentationLossOptions {
    OutputKind output = OutputKind::Sigmoid;
    double crossEntropyWeight = 1;  ///< BCE with logits (sigmoid) or CE (softmax), mean over all elements or pixels
    double diceWeight = 0;          ///< of the overlap term
    bool presentOnly = true;        ///< overlap of structures that occur in the group only (else absent ones count too)
    double smooth = 1e-5;           ///< added to numerator and denominator of every overlap

    OverlapForm overlap = OverlapForm::Dice;
    bool perImage = false;              ///< overlap of each image, then their mean; else sums over the whole batch
    bool withBackground = false;        ///< softmax: the background channel has an overlap too
    bool squared = false;               ///< Dice: P = sum(p^2) (Milletari et al. 2016)
    bool jaccard = false;               ///< Dice: denominator 2 (P + R - I)
    double tverskyFalsePositive = 0.5;  ///< a: weight of what is predicted too much
    double tverskyFalseNegative = 0.5;  ///< b: weight of what is missed

    /// Exponent of the focal factor (1 - p_t)^gamma (Lin et al. 2017). The focal loss is the mean over all elements, of
    /// softmax outputs too, where CE is the mean over pixels. Negative: plain cross entropy.
    double focalGamma = -1;
    /// Focal: share of the targets' side, 1 - alpha for the others (softmax: for background). Negative: no such factor.
    double focalAlpha = -1;

    /// One weight a channel, empty for equal ones. BCE: of the target pixels (torch's pos_weight); CE: of the pixels,
    /// divided by the sum of the weights; focal, Dice and Tversky: factor of the channel's part (in the mean over all);
    /// generalised Dice has its own.
    std::vector<float> classWeights{};
    int ignoreLabel = -1;  ///< pixels that any layer gives this structure id are left out everywhere; -1: none
};

/// `logits`: float (batch, channels, [depth,] height, width). `labels`: uint8 or int16 (batch, layers, [depth,] height,
/// width); a value is a structure id (0 = background, bit pattern unsigned); a pixel belongs to every structure that
/// one of its layers names. Softmax takes one layer. Returns a scalar with gradient. CPU: one fused pass forward and
/// one backward, bound by memory; elsewhere torch operations. Both give the same values. A batch without any pixel that
/// counts has loss 0.
torch::Tensor segmentationLoss(const torch::Tensor& logits, const torch::Tensor& labels,
                               const SegmentationLossOptions& options);

/// The same in plain torch operations (any device; doubles are not rounded to float): the reference of the fused form.
torch::Tensor segmentationLossReference(const torch::Tensor& logits, const torch::Tensor& labels,
                                        const SegmentationLossOptions& options);

/// Adds, for every structure, intersection, predicted and reference pixels to `counts` (int64, (structures, 3), CPU).
/// Prediction: logit >= `threshold` as log-odds for sigmoid, the strongest channel for softmax. Pixels of `ignoreLabel`
/// are left out.
void countOverlap(const torch::Tensor& logits, const torch::Tensor& labels, OutputKind output, double threshold,
                  torch::Tensor& counts, int ignoreLabel = -1);

/// Mean over structures of 2 I / (P + R); structures with neither prediction nor reference are left out. NaN if none is
/// left.
double meanDice(const torch::Tensor& counts);

}  // namespace medseg
