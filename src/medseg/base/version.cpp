#include "medseg/base/version.h"

namespace medseg {

const char* version() { return MEDSEG_VERSION; }

}  // namespace medseg
