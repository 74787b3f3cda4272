// Progress of long work: a bar with rate and remaining time on a terminal, a plain line every few seconds elsewhere.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace medseg {

/// Thread-safe. Nothing is printed when logging is quiet (level above Info).
class Progress {
  public:
    /// `unit` names one step in plural: "slices", "cases", "batches". `total` 0 = unknown.
    Progress(std::string label, std::int64_t total, std::string unit);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void advance(std::int64_t steps = 1);
    /// Text at the end of the line, e.g. "loss 0.312".
    void setNote(std::string note);
    /// Prints the final state (once); the destructor does it too.
    void finish();

    /// Erases a bar that stands on the current terminal line, so that a message can be printed there.
    static void clearLine();

  private:
    void print(bool final);

    using Clock = std::chrono::steady_clock;
    std::string label_;
    std::string unit_;
    std::string note_;
    std::int64_t total_;
    std::atomic<std::int64_t> done_{0};
    Clock::time_point start_;
    Clock::time_point lastPrint_;
    std::mutex mutex_;
    bool terminal_;
    bool quiet_;
    bool finished_ = false;
};

/// "1 h 02 min", "3 min 20 s", "4.2 s": a duration for people.
std::string formatDuration(double seconds);

}  // namespace medseg
