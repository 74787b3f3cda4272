// From the recipe and the training slices to the options of the loss.
#pragma once

#include <cstdint>
#include <vector>

#include "medseg/dataset/slice_cache.h"
#include "medseg/nn/segmentation_loss.h"
#include "medseg/recipe/recipe.h"
#include "medseg/volume/label_map.h"

namespace medseg {

/// How much of the training slices belongs to each structure; index = id, 0 = background of the first layer.
struct StructureStatistics {
    std::vector<double> pixels;  ///< of that id
    std::vector<double> slices;  ///< that show the id
    double sliceCount = 0;
    double pixelCount = 0;  ///< of all slices
};

StructureStatistics structureStatistics(const SliceCache& cache, const std::vector<std::int64_t>& slices);

/// Logs one warning that names the structures no training slice shows.
void warnOfAbsentStructures(const StructureStatistics& statistics, const LabelTable& labels);

/// Output channel -> share of the training pixels that belong to it, never 0 or 1.
std::vector<double> channelFrequencies(const StructureStatistics& statistics, OutputKind output);

/// Everything but the class weights. Throws UsageError when train.loss does not go with model.output, or
/// train.ignore_label names no structure (with the nearest name).
SegmentationLossOptions lossOptions(const Recipe& recipe, const LabelTable& labels);

/// One weight an output channel; empty where all are 1. train.class_weights, then train.structure_weights as factors
/// ("background=0.5" too with softmax outputs):
///   inverse    median frequency of the structures / own frequency (Eigen and Fergus 2015), at most 20, at least 1/20
///   log        1 / ln(1.02 + frequency) (Paszke et al. 2016)
///   effective  (1 - b) / (1 - b^slices), b = 0.999 (Cui et al. 2019)
/// the last two scaled to mean 1. Structures that no slice shows get weight 1. Throws UsageError for a malformed or
/// unknown name.
std::vector<float> classWeights(const TrainSettings& settings, const LabelTable& labels,
                                const StructureStatistics& statistics, OutputKind output);

}  // namespace medseg
