#include "parity/sam/sam_fixture.h"

#include <algorithm>
#include <fstream>

#include "io/fixture_folder.h"
#include "medseg/base/files.h"
#include "medseg/io/npy.h"
#include "medseg/io/safetensors.h"
#include "medseg/io/state_dict.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg::sam_fixture {

fs::path folder() {
    return fixtureFolder("sam");
}

bool exists(const std::string& name) {
    return fs::exists(folder() / name);
}

torch::Tensor array(const std::string& name) {
    const NpyArray file = readNpy(folder() / name);
    const auto view = [&](torch::ScalarType type) {
        return torch::from_blob(const_cast<std::uint8_t*>(file.bytes.data()), file.shape, type).clone();
    };
    switch (file.type) {
        case NpyType::U8:
        case NpyType::Bool:
            return view(torch::kByte);
        case NpyType::I32:
            return view(torch::kInt);
        case NpyType::I64:
            return view(torch::kLong);
        case NpyType::F64:
            return view(torch::kDouble);
        default:
            return view(torch::kFloat);
    }
}

torch::Tensor floats(const std::string& name) {
    return array(name).to(torch::kFloat);
}

nlohmann::json json(const std::string& name) {
    return nlohmann::json::parse(std::ifstream(folder() / name));
}

nlohmann::json config() {
    return json("config.json");
}

std::vector<std::string> namesEnding(const std::string& subfolder, const std::string& ending) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder() / subfolder)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(ending)) names.push_back(name.substr(0, name.size() - ending.size()));
    }
    std::sort(names.begin(), names.end());
    return names;
}

int caseCount(const std::string& subfolder, const std::string& ending) {
    int count = 0;
    while (exists(subfolder + "/case" + std::to_string(count) + ending)) ++count;
    return count;
}

NamedTensors weights() {
    return readSafetensors(folder() / "sam_tiny.safetensors").tensors;
}

void load(torch::nn::Module& network, const std::string& prefix) {
    loadStateDict(network, PickleValue::stateDict(withPrefix(weights(), prefix)), "sam_tiny.safetensors");
    network.eval();
}

double largestDifference(const torch::Tensor& a, const torch::Tensor& b) {
    if (a.numel() == 0) return 0;
    return (a.to(torch::kDouble) - b.to(torch::kDouble)).abs().max().item<double>();
}

}  // namespace medseg::sam_fixture
