#include "medseg/base/isolated_process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr rlim_t kProcessorSeconds = 120;
constexpr int kDone = 0, kFailed = 1;

void limit(int resource, rlim_t value) {
    const rlimit both{value, value};
    ::setrlimit(resource, &both);
}

/// Address space in use; 0 if the system does not say.
std::size_t addressSpace() {
    std::FILE* file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr) return 0;
    unsigned long pages = 0;
    const bool read = std::fscanf(file, "%lu", &pages) == 1;
    std::fclose(file);
    return read ? pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

void confine([[maybe_unused]] std::size_t memory) {
    for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, SIG_DFL);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, kProcessorSeconds);
#ifndef __SANITIZE_ADDRESS__  // reserves terabytes of addresses
    if (const std::size_t used = addressSpace(); used > 0) limit(RLIMIT_AS, used + memory);
#endif
    if (const int nowhere = ::open("/dev/null", O_WRONLY); nowhere >= 0) {
        ::dup2(nowhere, STDOUT_FILENO);
        ::dup2(nowhere, STDERR_FILENO);
    }
}

}  // namespace

SharedMemory::SharedMemory(std::size_t size) : size_(size) {
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw WorkError(std::string("out of memory: ") + std::strerror(errno));
    data_ = static_cast<std::uint8_t*>(memory);
}

SharedMemory::~SharedMemory() {
    ::munmap(data_, size_);
}

bool runIsolated(const std::function<bool()>& work, std::size_t memory) {
    const pid_t child = ::fork();
    if (child < 0) throw WorkError(std::string("cannot start a process: ") + std::strerror(errno));
    if (child == 0) {
        int status = kFailed;
        try {
            confine(memory);
            if (work()) status = kDone;
        } catch (...) {  // the status says so
        }
        ::_exit(status);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0)
        if (errno != EINTR) throw WorkError(std::string("lost a process: ") + std::strerror(errno));
    return WIFEXITED(status) && WEXITSTATUS(status) == kDone;
}

}  // namespace medseg
