// One folder of <fixtures>/sam3d: its configuration, tolerances and arrays.
#pragma once

#include <cmath>
#include <string>

#include <torch/torch.h>
#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "medseg/base/files.h"
#include "medseg/io/npy.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/state_dict.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg::test {

using Json = nlohmann::json;

class Sam3dFixture {
  public:
    explicit Sam3dFixture(const std::string& section) : folder_(fixtures() / "sam3d" / section) {
        config_ = Json::parse(readTextFile(folder_ / "config.json"));
    }

    fs::path path(const std::string& name) const { return folder_ / name; }
    const Json& hyper() const { return config_.at("hyperparameters"); }
    double tolerance(const std::string& name) const { return config_.at("tolerance").at(name); }
    Json json(const std::string& name) const { return Json::parse(readTextFile(path(name))); }

    /// An array in its own type.
    torch::Tensor tensor(const std::string& name) const {
        const NpyArray array = readNpy(path(name + ".npy"));
        const std::vector<double> values = array.toDoubles();
        auto wide = torch::tensor(values, torch::kDouble).reshape(array.shape);
        if (array.type == NpyType::F64) return wide;
        return wide.to(array.type == NpyType::F32 ? torch::kFloat : torch::kLong);
    }

    NamedTensors weights(const std::string& name) const { return readSafetensors(path(name)).tensors; }

    void expectClose(const torch::Tensor& actual, const torch::Tensor& expected, const std::string& what,
                     double atol = -1, double rtol = -1) const {
        if (atol < 0) atol = tolerance("atol");
        if (rtol < 0) rtol = tolerance("rtol");
        ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
        const auto a = actual.detach().to(torch::kDouble), b = expected.to(torch::kDouble);
        const auto bothNan = a.isnan() & b.isnan();
        const auto excess = ((a - b).abs() - rtol * b.abs()).masked_fill(bothNan, 0).masked_fill(a == b, 0);
        const double worst = excess.numel() == 0 ? 0 : excess.nan_to_num(1e300).max().item<double>();
        EXPECT_LE(worst, atol) << what << ": largest |a-b| - rtol |b|";
    }
    void expectClose(const torch::Tensor& actual, const std::string& name) const {
        expectClose(actual, tensor(name), name);
    }

  private:
    fs::path folder_;
    Json config_;
};

/// Copies tensors into a network: every name of the file must exist, every name of the network must be in the file.
inline void loadWeights(torch::nn::Module& network, const NamedTensors& tensors, const std::string& source) {
    loadStateDict(network, PickleValue::stateDict(tensors), source);
}

}  // namespace medseg::test
