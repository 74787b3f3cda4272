#include "medseg/nn/network_module.h"

#include <cstdlib>

#include "medseg/base/late_library.h"

namespace medseg {
namespace {

/// OpenBLAS looks at the processor when it is loaded and takes newer AVX-512 ones for something slow; tell it before.
void chooseBlasKernels() {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
        ::setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);
#endif
}

}  // namespace

LabelCleanup cleanupFrom(const PredictSettings& settings) {
    return {settings.smoothMm, settings.smallVoxels, settings.largestComponent, settings.fillHoles};
}

NetworkModule& loadNetworkModule() {
    static NetworkModule* const module = [] {
        chooseBlasKernels();
        using Entry = NetworkModule* (*)();
        const auto entry = reinterpret_cast<Entry>(openLateLibrary(
            "libmedseg_nn.so", "medsegNetworkModule",
            "this build has no networks (libmedseg_nn.so is missing): build with -DMEDSEG_WITH_TORCH=ON"));
        return entry();
    }();
    return *module;
}

}  // namespace medseg
