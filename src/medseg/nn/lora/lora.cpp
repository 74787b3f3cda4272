#include "medseg/nn/lora/lora.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/nn/linear.h"
#include "medseg/nn/tensor_bridge.h"

namespace medseg {
namespace {

using NamedLinear = std::pair<std::string, std::shared_ptr<LinearImpl>>;

std::vector<NamedLinear> linearLayers(const torch::nn::Module& network) {
    std::vector<NamedLinear> layers;
    for (const auto& item : network.named_modules("", false))
        if (auto linear = std::dynamic_pointer_cast<LinearImpl>(item.value())) layers.emplace_back(item.key(), linear);
    return layers;
}

bool isAdapter(const std::string& name) {
    return name.ends_with(".lora_A") || name.ends_with(".lora_B");
}

void freeze(torch::nn::Module& network) {
    for (auto& parameter : network.parameters()) parameter.set_requires_grad(false);
}

/// Makes the parameters that match `patterns` trainable.
void unfreeze(torch::nn::Module& network, const std::vector<std::string>& patterns) {
    for (const std::string& pattern : patterns) {
        bool found = false;
        for (auto& item : network.named_parameters()) {
            if (isAdapter(item.key()) || !pathMatches(item.key(), pattern)) continue;
            item.value().set_requires_grad(true);
            found = true;
        }
        if (!found) throw UsageError(fmt::format("lora.train: no parameter matches \"{}\"", pattern));
    }
}

std::shared_ptr<LinearImpl> findLinear(const std::vector<NamedLinear>& layers, const std::string& path) {
    for (const auto& [name, linear] : layers)
        if (name == path) return linear;
    return nullptr;
}

void copyInto(torch::Tensor& target, const TensorRecord& record, const std::string& name, const std::string& source) {
    if (target.sizes().vec() != record.shape)
        throw DataError(source, fmt::format("{} is {}, the network needs {}", name, formatShape(record.shape),
                                            formatShape(target.sizes().vec())));
    torch::NoGradGuard noGradient;
    target.copy_(toTensor(record));
}

}  // namespace

LoraReport attachLora(torch::nn::Module& network, const LoraSettings& settings) {
    checkLoraSettings(settings);
    const std::vector<NamedLinear> linears = linearLayers(network);
    std::vector<ExpectedTensor> weights;
    for (const auto& [name, linear] : linears) weights.push_back({name + ".weight", linear->weight.sizes().vec()});
    LoraReport report;
    report.layers = loraLayers(weights, settings);
    if (report.layers.empty() && settings.train.empty())
        throw UsageError(fmt::format("lora.targets: no linear layer matches {}", fmt::join(settings.targets, ", ")));
    freeze(network);
    for (const LoraLayer& layer : report.layers)
        findLinear(linears, layer.path)->attachAdapter(settings.rank, settings.alpha, settings.dropout);
    unfreeze(network, settings.train);
    report.adapterValues = loraValueCount(report.layers, settings.rank);
    for (const auto& parameter : network.parameters()) {
        report.totalValues += parameter.numel();
        if (parameter.requires_grad()) report.trainableValues += parameter.numel();
    }
    return report;
}

void mergeLora(torch::nn::Module& network) {
    for (const auto& [name, linear] : linearLayers(network)) linear->mergeAdapter();
}

void unmergeLora(torch::nn::Module& network) {
    for (const auto& [name, linear] : linearLayers(network)) linear->unmergeAdapter();
}

void removeLora(torch::nn::Module& network) {
    for (const auto& [name, linear] : linearLayers(network)) linear->removeAdapter();
    for (auto& parameter : network.parameters()) parameter.set_requires_grad(true);
}

LoraCheckpoint loraCheckpointOf(const torch::nn::Module& network, const LoraSettings& settings) {
    LoraCheckpoint checkpoint;
    checkpoint.settings = settings;
    for (const auto& item : network.named_parameters()) {
        if (isAdapter(item.key()))
            checkpoint.adapters.emplace_back(item.key(), toRecord(item.value()));
        else if (item.value().requires_grad())
            checkpoint.trained.emplace_back(item.key(), toRecord(item.value()));
    }
    return checkpoint;
}

void loadLora(torch::nn::Module& network, const LoraCheckpoint& checkpoint, const std::string& source) {
    const LoraSettings& settings = checkpoint.settings;
    const auto adapterOf = [&](const std::string& path, const char* part) {
        return findTensor(checkpoint.adapters, path + part);
    };
    freeze(network);
    std::size_t used = 0;
    for (const auto& [path, linear] : linearLayers(network)) {
        const TensorRecord* a = adapterOf(path, ".lora_A");
        const TensorRecord* b = adapterOf(path, ".lora_B");
        // Adapters of the same rank stay the same tensors, which an optimiser may hold.
        if (linear->hasAdapter() && (a == nullptr || linear->loraA.size(0) != settings.rank)) linear->removeAdapter();
        if (a == nullptr || b == nullptr) continue;
        if (linear->hasAdapter())
            linear->configureAdapter(settings.alpha, settings.dropout);
        else
            linear->attachAdapter(settings.rank, settings.alpha, settings.dropout);
        copyInto(linear->loraA, *a, path + ".lora_A", source);
        copyInto(linear->loraB, *b, path + ".lora_B", source);
        linear->loraA.set_requires_grad(true);
        linear->loraB.set_requires_grad(true);
        used += 2;
    }
    if (used != checkpoint.adapters.size())
        throw DataError(source, fmt::format("{} adapters name layers that the network does not have: they belong to "
                                            "another model",
                                            (checkpoint.adapters.size() - used) / 2));
    auto parameters = network.named_parameters();
    for (const auto& [name, value] : checkpoint.trained) {
        torch::Tensor* parameter = parameters.find(name);
        if (parameter == nullptr) throw DataError(source, fmt::format("the network has no parameter {}", name));
        copyInto(*parameter, value, name, source);
        parameter->set_requires_grad(true);
    }
}

}  // namespace medseg
