#pragma once

namespace medseg {

/// Version of the program and library, "MAJOR.MINOR.PATCH".
const char* version();

}  // namespace medseg
