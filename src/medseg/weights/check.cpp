#include "medseg/weights/check.h"

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/sha256.h"
#include "medseg/io/checkpoint_file.h"

namespace medseg {
namespace {

void examine(WeightState& state) {
    const fs::path sumFile = state.path.string() + ".sha256";
    std::error_code error;
    if (!fs::is_regular_file(state.path, error)) return;
    if (fs::file_size(state.path, error) == 0) {
        state.kind = WeightState::Kind::Empty;
        state.detail = "0 bytes: download it again";
        return;
    }
    try {
        const FoundStateDict found = readStateDict(state.path);
        std::int64_t values = 0;
        for (const auto& [name, tensor] : found.tensors) values += tensor.elementCount();
        state.detail =
            fmt::format("{} tensors, {:.1f} M values", found.tensors.size(), static_cast<double>(values) / 1e6);
        state.kind = WeightState::Kind::Unverified;
        if (!fs::is_regular_file(sumFile, error)) return;
        const std::string expected = readTextFile(sumFile).substr(0, 64);
        const bool same = sha256OfFile(state.path) == expected;
        state.kind = same ? WeightState::Kind::Good : WeightState::Kind::Damaged;
        if (!same) state.detail = "its bytes are not those that were downloaded: download it again";
    } catch (const DataError& failure) {
        state.kind = WeightState::Kind::Damaged;
        state.detail = failure.what();
    }
}

}  // namespace

const char* weightStateName(WeightState::Kind kind) {
    switch (kind) {
        case WeightState::Kind::Missing:
            return "missing";
        case WeightState::Kind::Good:
            return "good";
        case WeightState::Kind::Unverified:
            return "unverified";
        case WeightState::Kind::Empty:
            return "empty";
        default:
            return "damaged";
    }
}

std::vector<WeightState> checkWeights(const fs::path& folder, const std::vector<WeightFile>& weights) {
    std::vector<WeightState> states;
    for (const WeightFile& weight : weights) {
        WeightState state;
        state.weight = weight;
        state.path = folder / weight.file;
        examine(state);
        states.push_back(std::move(state));
    }
    return states;
}

}  // namespace medseg
