#include "medseg/nn/network_module.h"

#include <cstdlib>
#include <dlfcn.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

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

NetworkModule& loadNetworkModule() {
    static NetworkModule* const module = [] {
        chooseBlasKernels();
        void* library = nullptr;
        for (const fs::path& folder : {executableDirectory(), executableDirectory() / "../lib/medseg"}) {
            const fs::path file = folder / "libmedseg_nn.so";
            if (!fs::exists(file)) continue;
            library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
            if (library == nullptr) throw WorkError(file.string(), ::dlerror());
            break;
        }
        if (library == nullptr)
            throw WorkError(
                "this build has no networks (libmedseg_nn.so is missing): build with -DMEDSEG_WITH_TORCH=ON");
        using Entry = NetworkModule* (*)();
        const auto entry = reinterpret_cast<Entry>(::dlsym(library, "medsegNetworkModule"));
        if (entry == nullptr) throw WorkError("libmedseg_nn.so is of another version: rebuild it");
        return entry();
    }();
    return *module;
}

}  // namespace medseg
