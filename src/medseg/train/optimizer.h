// Adam, AdamW and SGD with Nesterov momentum, with a state that checkpoints keep in torch.optim's layout. Own code
// because the C++ front end stores its state differently in every torch release.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "medseg/io/pickle_value.h"
#include "medseg/recipe/recipe.h"

namespace medseg {

class Optimizer {
  public:
    /// Kingma & Ba 2015 (adam, L2 in the gradient), Loshchilov & Hutter 2019 (adamw), Sutskever et al. 2013 (sgd).
    Optimizer(const TrainSettings& settings, std::vector<torch::Tensor> parameters);

    void zeroGradients();
    /// Adam's decay of the first moment from the next step on.
    void setFirstBeta(double beta) { settings_.betas[0] = beta; }
    /// Scales all gradients so that their joint L2 norm is at most `limit`. Returns the norm before.
    double clipGradients(double limit);
    /// One step with this step size. Parameters without gradient stay as they are.
    void step(double learningRate);

    /// {"state": {0: {"step", "exp_avg", "exp_avg_sq"}, ...}, "param_groups": [...]} as torch.optim writes it.
    PickleValue stateDict(double learningRate) const;
    /// Throws DataError naming `source` if the state does not fit the parameters.
    void loadStateDict(const PickleValue& state, const std::string& source);

  private:
    struct Moments {
        std::int64_t steps = 0;
        torch::Tensor first;   ///< Adam: mean of gradients; SGD: momentum
        torch::Tensor second;  ///< Adam: mean of squared gradients
    };
    void stepAdam(torch::Tensor& parameter, const torch::Tensor& gradient, Moments& moments, double learningRate);
    void stepSgd(torch::Tensor& parameter, const torch::Tensor& gradient, Moments& moments, double learningRate);

    TrainSettings settings_;
    std::vector<torch::Tensor> parameters_;
    std::vector<Moments> moments_;
};

}  // namespace medseg
