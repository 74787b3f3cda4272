// Clean stop on SIGINT and SIGTERM: the handler only sets a flag, long work polls it.
#pragma once

namespace medseg {

/// Installs the handlers. A second signal ends the process at once with exit code 130.
void installInterruptHandlers();

/// True once a signal has arrived.
bool interruptRequested() noexcept;

/// Throws InterruptedError once a signal has arrived. Cheap enough for every slice or batch.
void throwIfInterrupted();

}  // namespace medseg
