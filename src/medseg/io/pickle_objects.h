// The meaning of the few functions and types that a pickle may name: what the unpickler does instead of calling them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "medseg/io/pickle_reader.h"
#include "medseg/io/pickle_value.h"

namespace medseg {

/// What `callable(*arguments)` stands for. `callable` is an opaque reference; if its name is not known, or the
/// arguments are not of the form known for it, the result is an opaque call. Throws DataError for a tensor outside its
/// storage.
PickleValue resolveCall(const PickleValue& callable, const std::vector<PickleValue>& arguments,
                        const std::string& source);

/// What the BUILD opcode does: hands `state` to `object`, in place. Tensors ignore it.
void resolveBuild(PickleValue& object, const PickleValue& state);

/// The storage behind torch's persistent id ("storage", type, key, location, count[, view]) as a one-dimensional tensor
/// over the whole storage; opaque for other ids and when the source has no storage yet.
PickleValue resolvePersistentId(const PickleValue& id, PickleStorageSource* storages, const std::string& source);

/// Element type of a storage type such as "torch.HalfStorage" or "torch.cuda.FloatStorage"; U8 for untyped storages.
std::optional<TensorDtype> storageDtype(const std::string& typeName);

/// A finished numpy.ndarray (an opaque call with its state) as a tensor; empty for anything else, also for arrays of
/// objects, records and strings. Throws DataError when the bytes do not fit the shape.
std::optional<TensorRecord> numpyArrayOf(const PickleNode& node, const std::string& source);

/// numpy.core.multiarray.scalar(dtype, bytes) as int, float, bool or string; empty for other types.
std::optional<PickleValue> numpyScalarOf(const std::vector<PickleValue>& arguments);

}  // namespace medseg
