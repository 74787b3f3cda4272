// The losses as their papers and MONAI's documentation define them, in plain loops over doubles: an independent source
// for the values and, by central differences, for the gradients of nn/segmentation_loss.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "medseg/nn/segmentation_loss.h"

namespace medseg {

/// One-hot targets and logits as nested lists: [image][channel][pixel].
struct DenseCase {
    std::vector<std::vector<std::vector<double>>> logits, targets;
    std::vector<std::vector<bool>> counts;  ///< [image][pixel]: not ignored

    std::size_t images() const { return logits.size(); }
    std::size_t channels() const { return logits[0].size(); }
    std::size_t pixels() const { return logits[0][0].size(); }
};

inline double logSigmoid(double x) {
    return x >= 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x));
}

inline std::vector<double> softmaxOf(const DenseCase& c, std::size_t image, std::size_t pixel) {
    std::vector<double> p;
    double sum = 0;
    for (std::size_t k = 0; k < c.channels(); ++k) {
        p.push_back(std::exp(c.logits[image][k][pixel]));
        sum += p.back();
    }
    for (double& value : p) value /= sum;
    return p;
}

inline double probabilityOf(const DenseCase& c, OutputKind output, std::size_t image, std::size_t k,
                            std::size_t pixel) {
    if (output == OutputKind::Softmax) return softmaxOf(c, image, pixel)[k];
    return std::exp(logSigmoid(c.logits[image][k][pixel]));
}

inline double expectedCrossEntropy(const DenseCase& c, const SegmentationLossOptions& o) {
    const bool sigmoid = o.output == OutputKind::Sigmoid, focal = o.focalGamma >= 0;
    double sum = 0, elements = 0, weights = 0;
    for (std::size_t b = 0; b < c.images(); ++b)
        for (std::size_t i = 0; i < c.pixels(); ++i) {
            if (!c.counts[b][i]) continue;
            for (std::size_t k = 0; k < c.channels(); ++k) {
                const double x = c.logits[b][k][i], t = c.targets[b][k][i];
                const double w = o.classWeights.empty() ? 1 : o.classWeights[k];
                const double logP = sigmoid ? logSigmoid(x) : std::log(softmaxOf(c, b, i)[k]);
                elements += 1;
                if (sigmoid && !focal) {
                    sum += -w * t * logP - (1 - t) * logSigmoid(-x);  // BCEWithLogits with pos_weight
                } else if (sigmoid) {
                    const double alpha = o.focalAlpha < 0 ? 1 : t * o.focalAlpha + (1 - t) * (1 - o.focalAlpha);
                    const double pt = t > 0 ? std::exp(logP) : std::exp(logSigmoid(-x));
                    sum += -w * alpha * std::pow(1 - pt, o.focalGamma) * std::log(pt);
                } else if (!focal) {
                    sum += -w * t * logP;
                    weights += w * t;
                } else {
                    const double alpha = o.focalAlpha < 0 ? 1 : (k == 0 ? 1 - o.focalAlpha : o.focalAlpha);
                    sum += -w * alpha * t * std::pow(1 - std::exp(logP), o.focalGamma) * logP;
                }
            }
        }
    return sum / (sigmoid || focal ? elements : weights);
}

inline double expectedOverlap(const DenseCase& c, const SegmentationLossOptions& o) {
    const std::size_t groups = o.perImage ? c.images() : 1;
    double total = 0, parts = 0;
    for (std::size_t g = 0; g < groups; ++g) {
        std::vector<double> tp, pred, ref, index;
        for (std::size_t k = o.output == OutputKind::Softmax && !o.withBackground ? 1 : 0; k < c.channels(); ++k) {
            double i = 0, p = 0, r = 0;
            for (std::size_t b = o.perImage ? g : 0; b < (o.perImage ? g + 1 : c.images()); ++b)
                for (std::size_t n = 0; n < c.pixels(); ++n) {
                    if (!c.counts[b][n]) continue;
                    const double q = probabilityOf(c, o.output, b, k, n), t = c.targets[b][k][n];
                    i += q * t;
                    p += o.squared ? q * q : q;
                    r += t;
                }
            if (o.presentOnly && r == 0) continue;
            tp.push_back(i), pred.push_back(p), ref.push_back(r), index.push_back(static_cast<double>(k));
        }
        if (o.overlap == OverlapForm::Generalized) {
            std::vector<double> w;
            for (const double r : ref) w.push_back(r > 0 ? 1 / (r * r) : 0);
            const double largest = w.empty() ? 0 : *std::max_element(w.begin(), w.end());
            double above = o.smooth, below = o.smooth;
            for (std::size_t k = 0; k < w.size(); ++k) {
                if (w[k] == 0) w[k] = largest;
                above += 2 * w[k] * tp[k];
                below += w[k] * (pred[k] + ref[k]);
            }
            if (!w.empty()) total += 1 - above / below, parts += 1;
            continue;
        }
        for (std::size_t k = 0; k < tp.size(); ++k) {
            double f = 0;
            if (o.overlap == OverlapForm::Tversky)
                f = 1 - (tp[k] + o.smooth) / (tp[k] + o.tverskyFalsePositive * (pred[k] - tp[k]) +
                                              o.tverskyFalseNegative * (ref[k] - tp[k]) + o.smooth);
            else
                f = 1 - (2 * tp[k] + o.smooth) /
                            ((o.jaccard ? 2 * (pred[k] + ref[k] - tp[k]) : pred[k] + ref[k]) + o.smooth);
            total += f * (o.classWeights.empty() ? 1 : o.classWeights[static_cast<std::size_t>(index[k])]);
            parts += 1;
        }
    }
    return parts > 0 ? total / parts : 0;
}

inline double expectedLoss(const DenseCase& c, const SegmentationLossOptions& o) {
    double loss = 0;
    if (o.crossEntropyWeight != 0) loss += o.crossEntropyWeight * expectedCrossEntropy(c, o);
    if (o.diceWeight != 0) loss += o.diceWeight * expectedOverlap(c, o);
    return loss;
}

}  // namespace medseg
