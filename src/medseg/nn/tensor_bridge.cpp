#include "medseg/nn/tensor_bridge.h"

#include <set>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

struct DtypePair {
    torch::ScalarType torchType;
    TensorDtype recordType;
};

constexpr DtypePair kDtypes[] = {
    {torch::kFloat, TensorDtype::F32},     {torch::kDouble, TensorDtype::F64}, {torch::kHalf, TensorDtype::F16},
    {torch::kBFloat16, TensorDtype::BF16}, {torch::kLong, TensorDtype::I64},   {torch::kInt, TensorDtype::I32},
    {torch::kShort, TensorDtype::I16},     {torch::kChar, TensorDtype::I8},    {torch::kByte, TensorDtype::U8},
    {torch::kBool, TensorDtype::Bool},
};

}  // namespace

TensorRecord toRecord(const torch::Tensor& tensor) {
    const auto owned = std::make_shared<torch::Tensor>(tensor.detach().to(torch::kCPU).contiguous());
    for (const auto& pair : kDtypes)
        if (pair.torchType == owned->scalar_type())
            return TensorRecord::over(pair.recordType, owned->sizes().vec(),
                                      {static_cast<const std::uint8_t*>(owned->data_ptr()), owned->nbytes()}, owned);
    throw WorkError(fmt::format("cannot save a tensor of type {}", torch::toString(tensor.scalar_type())));
}

torch::Tensor toTensor(const TensorRecord& record) {
    for (const auto& pair : kDtypes) {
        if (pair.recordType != record.dtype) continue;
        const TensorRecord packed = record.contiguous();
        auto tensor = torch::empty(record.shape, torch::TensorOptions().dtype(pair.torchType));
        const auto bytes = packed.packedBytes();
        if (!bytes.empty()) std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
        return tensor;
    }
    throw DataError(fmt::format("tensors of type {} cannot be used by a network", tensorDtypeName(record.dtype)));
}

std::vector<std::pair<std::string, torch::Tensor>> namedState(const torch::nn::Module& network) {
    std::vector<std::pair<std::string, torch::Tensor>> state;
    for (const auto& item : network.named_parameters()) state.emplace_back(item.key(), item.value());
    for (const auto& item : network.named_buffers()) state.emplace_back(item.key(), item.value());
    return state;
}

PickleValue stateDictOf(const torch::nn::Module& network) {
    NamedTensors tensors;
    for (const auto& [name, tensor] : namedState(network)) tensors.emplace_back(name, toRecord(tensor));
    return PickleValue::stateDict(tensors);
}

void loadStateDict(torch::nn::Module& network, const PickleValue& state, const std::string& source) {
    std::vector<std::string> problems;
    std::set<std::string> known;
    std::vector<std::pair<torch::Tensor, torch::Tensor>> copies;
    for (const auto& [name, target] : namedState(network)) {
        known.insert(name);
        const PickleValue* value = state.find(name);
        if (value == nullptr || !value->isTensor()) {
            problems.push_back(fmt::format("{} is missing", name));
            continue;
        }
        const TensorRecord& record = value->asTensor();
        if (record.shape != target.sizes().vec()) {
            problems.push_back(fmt::format("{} is {}, the network needs {}", name, formatShape(record.shape),
                                           formatShape(target.sizes().vec())));
            continue;
        }
        copies.emplace_back(target, toTensor(record));
    }
    for (const auto& [key, value] : state.entries())
        if (key.isString() && !known.contains(key.asString()))
            problems.push_back(fmt::format("{} is unexpected", key.asString()));
    if (!problems.empty()) {
        constexpr std::size_t kShown = 5;
        const std::size_t total = problems.size();
        if (total > kShown) problems.resize(kShown);
        throw DataError(source, fmt::format("weights do not fit the network: {}{}", fmt::join(problems, "; "),
                                            total > kShown ? fmt::format("; and {} more", total - kShown) : ""));
    }
    torch::NoGradGuard noGradient;
    for (auto& [target, value] : copies) target.copy_(value);
}

}  // namespace medseg
