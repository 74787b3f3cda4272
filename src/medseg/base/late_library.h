// Shared libraries that are opened when a command needs them, so that programs start at once and work without them.
#pragma once

#include <string>

namespace medseg {

/// Opens `fileName` beside libmedseg, beside the program or in ../lib/medseg and returns the address of the C function `entry`. Throws
/// WorkError: `absent` when the file does not exist, else the system's reason.
void* openLateLibrary(const std::string& fileName, const std::string& entry, const std::string& absent);

}  // namespace medseg
