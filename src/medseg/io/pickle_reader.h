// Reads Python pickles (protocols 0 to 5) as data. Nothing is imported, called or executed: a pickle names functions
// and types, and those few whose meaning is known (containers, numbers, numpy arrays, torch tensors) are turned into
// values by code of our own; all others stay opaque. Reference: the opcode descriptions in Python's pickletools.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "medseg/io/pickle_value.h"

namespace medseg {

/// Where the tensor storages lie that a pickle refers to by persistent ids.
class PickleStorageSource {
  public:
    virtual ~PickleStorageSource() = default;

    struct Request {
        std::string key;
        TensorDtype dtype = TensorDtype::U8;
        std::string location;           ///< "cpu", "cuda:0" ...
        std::int64_t elementCount = 0;  ///< of the whole storage, as the pickle claims; not negative
        /// Legacy files only: the storage is a piece of another one. Empty key = it is not.
        std::string viewKey;
        std::int64_t viewOffset = 0;
        std::int64_t viewCount = 0;
    };
    /// The storage, or nullptr when it is not there yet (tensors on it then stay opaque). The same key must give the
    /// same storage each time. Throws DataError when the request does not fit what the file holds.
    virtual std::shared_ptr<const TensorStorage> open(const Request& request) = 0;
};

/// Bounds that a sound checkpoint never meets and a malicious one cannot pass.
struct PickleLimits {
    std::size_t depth = 400;                        ///< containers within containers
    std::size_t containers = std::size_t{4} << 20;  ///< lists, tuples, dicts, objects
    std::size_t values = std::size_t{32} << 20;     ///< everything
};

struct PickleReading {
    PickleValue value;
    std::size_t end = 0;  ///< first byte after the pickle
};

/// Reads the pickle at the start of `bytes`. `source` is the file's name for messages. Throws DataError for damaged
/// pickles, for tensors outside their storage and beyond the limits. References of a container to itself are
/// replaced by an opaque "recursive reference". Without `storages` persistent ids stay opaque.
PickleReading readPickle(std::span<const std::uint8_t> bytes, const std::string& source,
                         PickleStorageSource* storages = nullptr, const PickleLimits& limits = {});

}  // namespace medseg
