// Exponential moving average of a network's weights.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include "medseg/io/pickle_value.h"

namespace medseg {

/// Moving average of parameters and floating-point buffers; other buffers follow the network.
class WeightAverage {
  public:
    WeightAverage(const torch::nn::Module& network, double decay);
    void update(const torch::nn::Module& network);
    /// Exchanges the averages with the network's values; a second call exchanges them back.
    void swapWith(torch::nn::Module& network);
    PickleValue stateDict() const;
    void load(const PickleValue& state, const std::string& source);

  private:
    std::vector<std::pair<std::string, torch::Tensor>> averages_;
    double decay_;
    std::int64_t updates_ = 0;
};

}  // namespace medseg
