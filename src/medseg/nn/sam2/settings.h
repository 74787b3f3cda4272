// Everything that fixes the architecture and the behaviour of a SAM 2 network (Ravi et al. 2024).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace medseg {

/// Image encoder "Hiera" (Ryali et al. 2023) as SAM 2 uses it, or the plain ViT of EfficientTAM (Xiong et al. 2024).
struct Sam2TrunkSettings {
    std::string kind = "hiera";  ///< hiera or vit
    std::int64_t embedDim = 96;  ///< channels of the first stage
    std::int64_t heads = 1;      ///< of the first stage
    // hiera
    std::vector<std::int64_t> stages{1, 2, 7, 2};      ///< blocks of each stage; channels and heads double in between
    std::vector<std::int64_t> globalBlocks{5, 7, 9};   ///< blocks that attend to the whole grid
    std::vector<std::int64_t> windows{8, 4, 14, 7};    ///< side of the attention windows of each stage, in tokens
    std::array<std::int64_t, 2> backgroundGrid{7, 7};  ///< of the coarse position embedding
    std::int64_t queryPools = 3;                       ///< stage ends at which the grid is halved
    std::int64_t queryStride = 2;
    double mlpRatio = 4.0;
    // vit
    std::int64_t patch = 16;
    std::int64_t depth = 12;
    std::int64_t window = 14;
    std::vector<std::int64_t> windowedBlocks;
    std::int64_t pretrainedGrid = 14;  ///< side of the stored position embedding, without the class token

    bool operator==(const Sam2TrunkSettings&) const = default;
};

/// A block of Hiera, derived from the stages.
struct HieraBlockSettings {
    std::int64_t dim = 0;
    std::int64_t dimOut = 0;
    std::int64_t heads = 0;
    std::int64_t window = 0;  ///< 0: whole grid
    bool queryPool = false;

    bool operator==(const HieraBlockSettings&) const = default;
};

struct Sam2Settings {
    Sam2TrunkSettings trunk;
    std::int64_t width = 256;                       ///< channels of neck, prompts and decoder
    std::vector<std::int64_t> topDownLevels{2, 3};  ///< neck levels that receive the next coarser one
    std::int64_t droppedLevels = 1;                 ///< coarsest neck levels that nothing uses ("scalp")
    std::int64_t imageSize = 1024;                  ///< side of the square input, pixels
    std::int64_t stride = 16;                       ///< of the image embedding

    // memory attention and encoder
    std::int64_t memoryWidth = 64;
    std::int64_t memoryFrames = 7;  ///< memory slots, the prompted one included
    std::int64_t memoryLayers = 4;
    std::int64_t memoryHeads = 1;
    std::int64_t memoryMlp = 2048;
    double memoryDropout = 0.1;
    double rotaryTheta = 10000.0;
    std::int64_t fuserLayers = 2;
    double memoryMaskScale = 20.0;  ///< mask for the memory encoder = scale * mask + bias
    double memoryMaskBias = -10.0;
    std::int64_t maxPointers = 16;  ///< object pointers that memory attention sees at most

    // heads; fixed in the official code
    std::int64_t decoderDepth = 2;
    std::int64_t decoderHeads = 8;
    std::int64_t decoderMlp = 2048;
    std::int64_t iouHidden = 256;
    std::int64_t iouDepth = 3;
    std::int64_t maskInputChannels = 16;
    std::int64_t multimaskOutputs = 3;
    std::int64_t multimaskMinPoints = 0;  ///< number of points for which three candidates are made
    std::int64_t multimaskMaxPoints = 1;

    // what changed from 2.0 to 2.1, and in EfficientTAM
    bool highResolutionFeatures = true;
    bool spatialNoObjectEmbedding = false;
    bool pointerTimeEncoding = false;  ///< projected and signed
    // post-processing of the official builders
    bool stabilityRule = true;  ///< single masks that are not stable give way to the best of the three
    double stabilityDelta = 0.05;
    double stabilityThreshold = 0.98;
    bool binarizePromptedMemory = true;  ///< memory of prompted frames is made from mask > 0
    std::int64_t fillHoleArea = 0;       ///< holes of at most so many low-resolution pixels are filled; 0: none

    std::int64_t gridSize() const { return imageSize / stride; }
    std::int64_t lowResolution() const { return gridSize() * 4; }

    bool operator==(const Sam2Settings&) const = default;
};

/// Blocks of a Hiera trunk in order. Throws DataError when the settings contradict themselves.
std::vector<HieraBlockSettings> hieraBlocks(const Sam2TrunkSettings& trunk);

/// Index of the last block of each stage.
std::vector<std::int64_t> hieraStageEnds(const Sam2TrunkSettings& trunk);

/// Channels of the trunk's outputs, finest first.
std::vector<std::int64_t> trunkChannels(const Sam2TrunkSettings& trunk);

/// Throws DataError when sizes do not fit each other (image size no multiple of the strides and so on).
void checkSam2Settings(const Sam2Settings& settings);

}  // namespace medseg
