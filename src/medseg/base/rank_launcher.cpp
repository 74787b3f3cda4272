#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/ranks.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr int kNotStarted = 127;
constexpr std::chrono::milliseconds kPoll{50};
constexpr std::chrono::seconds kPatience{10};  ///< for ranks to end after SIGTERM

std::vector<std::string> commandLine() {
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    const std::string all{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::string> arguments;
    for (std::size_t begin = 0; begin < all.size();) {
        const std::size_t end = std::min(all.find('\0', begin), all.size());
        arguments.push_back(all.substr(begin, end - begin));
        begin = end + 1;
    }
    return arguments;
}

/// A port of this machine that nobody listens on.
int freePort() {
    const int handle = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    const bool found = handle >= 0 && ::bind(handle, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                       ::getsockname(handle, reinterpret_cast<sockaddr*>(&address), &length) == 0;
    if (handle >= 0) ::close(handle);
    if (!found) throw WorkError(fmt::format("no free port on this machine: {}", std::strerror(errno)));
    return ntohs(address.sin_port);
}

std::vector<std::string> rankEnvironment(int rank, int processes, int port) {
    constexpr const char* kOurs[] = {"RANK=",        "WORLD_SIZE=",      "LOCAL_RANK=",     "MASTER_ADDR=",
                                     "MASTER_PORT=", "MEDSEG_LAUNCHED=", "MEDSEG_THREADS=", "OMP_NUM_THREADS="};
    std::vector<std::string> result;
    for (char** entry = ::environ; *entry != nullptr; ++entry)
        if (std::none_of(std::begin(kOurs), std::end(kOurs),
                         [&](const char* name) { return std::strncmp(*entry, name, std::strlen(name)) == 0; }))
            result.emplace_back(*entry);
    const int threads = std::max(1, threadCount() / processes);
    result.push_back(fmt::format("RANK={}", rank));
    result.push_back(fmt::format("WORLD_SIZE={}", processes));
    result.push_back(fmt::format("LOCAL_RANK={}", rank));
    result.emplace_back("MASTER_ADDR=127.0.0.1");
    result.push_back(fmt::format("MASTER_PORT={}", port));
    result.emplace_back("MEDSEG_LAUNCHED=1");
    result.push_back(fmt::format("MEDSEG_THREADS={}", threads));
    result.push_back(fmt::format("OMP_NUM_THREADS={}", threads));
    return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (std::string& text : texts) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

/// The processes of one job on this machine.
class RankProcesses {
  public:
    ~RankProcesses() { end(); }

    void start(int processes) {
        std::vector<std::string> arguments = commandLine();
        const auto argv = pointers(arguments);
        const int port = freePort();
        const pid_t parent = ::getpid();
        for (int rank = 0; rank < processes; ++rank) {
            std::vector<std::string> environment = rankEnvironment(rank, processes, port);
            const auto envp = pointers(environment);
            const pid_t child = ::fork();
            if (child < 0) throw WorkError(fmt::format("cannot start rank {}: {}", rank, std::strerror(errno)));
            if (child == 0) {
                ::setpgid(0, 0);                     // Ctrl-C reaches the launcher alone, which passes it on once
                ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // a killed launcher takes its ranks along
                if (::getppid() == parent) ::execve("/proc/self/exe", argv.data(), envp.data());
                ::_exit(kNotStarted);
            }
            running_.push_back({child, rank});
        }
    }

    bool empty() const { return running_.empty(); }

    struct Ended {
        int rank;
        int status;
    };
    /// A process that has ended since the last call.
    std::optional<Ended> poll() {
        for (auto it = running_.begin(); it != running_.end(); ++it) {
            int status = 0;
            if (::waitpid(it->id, &status, WNOHANG) != it->id) continue;
            const Ended ended{it->rank, status};
            running_.erase(it);
            return ended;
        }
        return std::nullopt;
    }

    void signal(int number) const {
        for (const Process& process : running_) ::kill(process.id, number);
    }

    /// Politely, then not.
    void end() {
        signal(SIGTERM);
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        while (!running_.empty() && std::chrono::steady_clock::now() < deadline)
            if (!poll()) std::this_thread::sleep_for(kPoll);
        signal(SIGKILL);
        for (const Process& process : running_) ::waitpid(process.id, nullptr, 0);
        running_.clear();
    }

  private:
    struct Process {
        pid_t id;
        int rank;
    };
    std::vector<Process> running_;
};

}  // namespace

int launchRanks(int processes) {
    using Clock = std::chrono::steady_clock;
    RankProcesses ranks;
    ranks.start(processes);
    bool stopping = false, stopReported = false;
    std::optional<Clock::time_point> contactLost;
    while (!ranks.empty()) {
        if (interruptRequested() && !stopping) {
            ranks.signal(SIGTERM);
            stopping = true;
        }
        if (contactLost && Clock::now() > *contactLost + kPatience) break;
        const auto ended = ranks.poll();
        if (!ended) {
            std::this_thread::sleep_for(kPoll);
            continue;
        }
        if (stopping && WIFEXITED(ended->status) &&
            WEXITSTATUS(ended->status) == static_cast<int>(ExitCode::Interrupted))
            stopReported = true;
        if (stopping || ended->status == 0) continue;
        if (WIFEXITED(ended->status) && WEXITSTATUS(ended->status) == kLostContactCode) {
            if (!contactLost) contactLost = Clock::now();  // the cause is another rank
            continue;
        }
        ranks.end();
        if (WIFEXITED(ended->status) && WEXITSTATUS(ended->status) != kNotStarted) return WEXITSTATUS(ended->status);
        throw WorkError(
            fmt::format("rank {} of {} was lost ({}): the job was stopped: continue from its last checkpoint with "
                        "--resume",
                        ended->rank, processes,
                        WIFSIGNALED(ended->status) ? fmt::format("signal {}", WTERMSIG(ended->status))
                                                   : std::string("it could not be started")));
    }
    if (stopping) throw InterruptedError(stopReported ? "" : "interrupted");
    if (contactLost)
        throw WorkError(
            fmt::format("the {} ranks lost contact with each other: the job was stopped: continue from its "
                        "last checkpoint with --resume",
                        processes));
    return 0;
}

}  // namespace medseg
