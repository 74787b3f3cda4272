// A network as the inference engine sees it: a list of steps over named activations, batch norm folded into the
// convolutions. Free of torch; see unet_graph.h for how one comes about.
#pragma once

#include <string>
#include <vector>

namespace medseg {

/// A stride-1 convolution that keeps the size: kernel 1 or 3 (padded by kernel / 2).
struct ConvolutionWeights {
    int inChannels = 0;
    int outChannels = 0;
    int kernel = 3;
    std::vector<float> weight;  ///< (out, in, kernel, kernel)
    std::vector<float> bias;    ///< (out)
};

/// An activation: (batch, height >> halvings, width >> halvings, channels).
struct GraphValue {
    std::string name;
    int channels = 0;
    int halvings = 0;
    bool nonNegative = false;  ///< follows a ReLU
};

struct GraphNode {
    enum class Kind {
        Convolution,  ///< output = [relu](conv(input))
        MaxPool,      ///< 2x2, stride 2
        Interleave    ///< output = [input's 4 x C channels spread over 2x2 pixels, order (dy, dx, C); skip]
    };
    Kind kind = Kind::Convolution;
    int input = 0;
    int skip = -1;  ///< second input of Interleave
    int output = 0;
    bool relu = false;
    ConvolutionWeights weights;
};

/// Nodes in order of execution; values by index. Value 0 is the input, the last node's output the result.
struct Graph {
    std::vector<GraphValue> values;
    std::vector<GraphNode> nodes;

    int addValue(std::string name, int channels, int halvings, bool nonNegative);
    int addConvolution(std::string name, int input, ConvolutionWeights weights, bool relu);
    int addMaxPool(int input);
    int addInterleave(std::string name, int input, int skip);
    int output() const { return nodes.back().output; }
    /// Height and width of the input must be divisible by this.
    int divisor() const;
};

}  // namespace medseg
