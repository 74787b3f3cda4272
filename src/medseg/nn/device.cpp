#include "medseg/nn/device.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

torch::Device deviceFromName(const std::string& name) {
    if (name == "cpu") return torch::kCPU;
    const bool cuda = name == "cuda" || name.starts_with("cuda:");
    if (!cuda) throw UsageError(fmt::format("device \"{}\" is unknown: use cpu, cuda or cuda:N", name));
    if (!torch::cuda::is_available())
        throw UsageError(fmt::format("device \"{}\": this machine or this libtorch has no CUDA: use cpu", name));
    try {
        const torch::Device device(name);
        if (device.has_index() && device.index() >= static_cast<int>(torch::cuda::device_count()))
            throw UsageError(
                fmt::format("device \"{}\": there are {} CUDA devices", name, torch::cuda::device_count()));
        return device;
    } catch (const c10::Error&) {
        throw UsageError(fmt::format("device \"{}\" is unknown: use cpu, cuda or cuda:N", name));
    }
}

}  // namespace medseg
