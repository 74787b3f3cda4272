#include "medseg/engine/graph.h"

#include <algorithm>

namespace medseg {

int Graph::addValue(std::string name, int channels, int halvings, bool nonNegative) {
    values.push_back({std::move(name), channels, halvings, nonNegative});
    return static_cast<int>(values.size()) - 1;
}

int Graph::addConvolution(std::string name, int input, ConvolutionWeights weights, bool relu) {
    const int output = addValue(std::move(name), weights.outChannels, values[input].halvings, relu);
    nodes.push_back({GraphNode::Kind::Convolution, input, -1, output, relu, std::move(weights)});
    return output;
}

int Graph::addMaxPool(int input) {
    const GraphValue& from = values[input];
    const int output = addValue(from.name + ".pool", from.channels, from.halvings + 1, from.nonNegative);
    nodes.push_back({GraphNode::Kind::MaxPool, input, -1, output, false, {}});
    return output;
}

int Graph::addInterleave(std::string name, int input, int skip) {
    const int output =
        addValue(std::move(name), values[input].channels / 4 + values[skip].channels, values[skip].halvings, false);
    nodes.push_back({GraphNode::Kind::Interleave, input, skip, output, false, {}});
    return output;
}

int Graph::divisor() const {
    int most = 0;
    for (const GraphValue& value : values) most = std::max(most, value.halvings);
    return 1 << most;
}

}  // namespace medseg
