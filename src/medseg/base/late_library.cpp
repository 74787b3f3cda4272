#include "medseg/base/late_library.h"

#include <dlfcn.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

/// The folder that libmedseg was loaded from.
fs::path libraryDirectory() {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<void*>(&openLateLibrary), &info) == 0 || info.dli_fname == nullptr) return {};
    return fs::path(info.dli_fname).parent_path();
}

}  // namespace

void* openLateLibrary(const std::string& fileName, const std::string& entry, const std::string& absent) {
    for (const fs::path& folder :
         {libraryDirectory(), executableDirectory(), executableDirectory() / "../lib/medseg"}) {
        const fs::path file = folder / fileName;
        if (!fs::exists(file)) continue;
        void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
        if (library == nullptr) throw WorkError(file.string(), ::dlerror());
        void* function = ::dlsym(library, entry.c_str());
        if (function == nullptr) throw WorkError(fileName + " is of another version: rebuild it");
        return function;
    }
    throw WorkError(absent);
}

}  // namespace medseg
