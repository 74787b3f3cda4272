#include "medseg/base/interrupt.h"

#include <csignal>
#include <unistd.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

volatile std::sig_atomic_t signalCount = 0;

void onSignal(int) {
    signalCount = signalCount + 1;
    if (signalCount > 1) _exit(static_cast<int>(ExitCode::Interrupted));
}

}  // namespace

void installInterruptHandlers() {
    struct sigaction action {};
    action.sa_handler = onSignal;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    // A file-size limit then shows up as a failed write with a message instead of a killed process.
    std::signal(SIGXFSZ, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
}

bool interruptRequested() noexcept { return signalCount > 0; }

void throwIfInterrupted() {
    if (interruptRequested()) throw InterruptedError();
}

}  // namespace medseg
