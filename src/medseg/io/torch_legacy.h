// PyTorch's file format of before 1.6 (still written with _use_new_zipfile_serialization=False): five pickles (magic
// number, version, system, object, storage keys) and then the storages: a 64-bit element count and the elements.
#pragma once

#include <memory>

#include "medseg/base/files.h"
#include "medseg/io/torch_checkpoint.h"

namespace medseg {

/// Throws DataError for damaged files. A file that is one pickle without the magic number is read as a plain pickle.
TorchFile readLegacyTorchFile(std::shared_ptr<const MappedFile> file);

}  // namespace medseg
