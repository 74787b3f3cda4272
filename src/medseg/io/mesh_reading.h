// Parsers of mesh files; `name` goes into their messages.
#pragma once

#include <string>
#include <string_view>

#include "medseg/volume/mesh.h"

namespace medseg {

Mesh readObj(const std::string& name, std::string_view text);
Mesh readPly(const std::string& name, std::string_view bytes);
Mesh readStl(const std::string& name, std::string_view bytes);

}  // namespace medseg
