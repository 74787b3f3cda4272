// The wall between the torch-free library and libmedseg_nn. Commands that need a network call loadNetworkModule(),
// which opens libmedseg_nn.so beside the program; nothing else touches it, so `medseg --help`, info, prepare and evaluate
// start at once and work on a machine without libtorch.
#pragma once

namespace medseg {

/// What libmedseg_nn offers, free of torch types.
class NetworkModule {
  public:
    virtual ~NetworkModule() = default;
};

/// Opens libmedseg_nn on first use. Throws WorkError when it was not built or a library it needs is missing.
NetworkModule& loadNetworkModule();

}  // namespace medseg
