#include "medseg/base/progress.h"

#include <algorithm>
#include <cstdio>
#include <unistd.h>

#include <fmt/format.h>

#include "medseg/base/logging.h"

namespace medseg {
namespace {

std::atomic<bool> barOnLine{false};

constexpr double kTerminalIntervalSeconds = 0.1;
constexpr double kPlainIntervalSeconds = 10.0;
constexpr int kBarWidth = 24;

double seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Progress::Progress(std::string label, std::int64_t total, std::string unit)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      start_(Clock::now()),
      lastPrint_(start_),
      terminal_(::isatty(STDERR_FILENO) == 1),
      quiet_(logLevel() > LogLevel::Info) {}

Progress::~Progress() { finish(); }

void Progress::advance(std::int64_t steps) {
    done_ += steps;
    if (quiet_) return;
    const std::lock_guard lock(mutex_);
    const double interval = terminal_ ? kTerminalIntervalSeconds : kPlainIntervalSeconds;
    const auto now = Clock::now();
    if (seconds(now - lastPrint_) < interval) return;
    lastPrint_ = now;
    print(false);
}

void Progress::setNote(std::string note) {
    const std::lock_guard lock(mutex_);
    note_ = std::move(note);
}

void Progress::finish() {
    const std::lock_guard lock(mutex_);
    if (finished_ || quiet_) return;
    finished_ = true;
    print(true);
}

void Progress::clearLine() {
    if (barOnLine.exchange(false)) std::fputs("\r\033[K", stderr);
}

void Progress::print(bool final) {
    const std::int64_t done = done_;
    const double elapsed = seconds(Clock::now() - start_);
    const double rate = elapsed > 0 ? static_cast<double>(done) / elapsed : 0.0;
    std::string line = label_;
    if (terminal_ && total_ > 0 && !final) {
        const int filled = static_cast<int>(std::min<std::int64_t>(kBarWidth, done * kBarWidth / total_));
        line += " [" + std::string(filled, '=') + std::string(kBarWidth - filled, ' ') + "]";
    }
    line += total_ > 0 ? fmt::format(" {}/{} {}", done, total_, unit_) : fmt::format(" {} {}", done, unit_);
    if (rate > 0) line += fmt::format(", {:.3g}/s", rate);
    if (final) {
        line += fmt::format(", {}", formatDuration(elapsed));
    } else if (total_ > done && rate > 0) {
        line += fmt::format(", {} left", formatDuration(static_cast<double>(total_ - done) / rate));
    }
    if (!note_.empty()) line += ", " + note_;
    clearLine();
    if (terminal_ && !final) {
        std::fputs(line.c_str(), stderr);
        std::fflush(stderr);
        barOnLine = true;
    } else {
        std::fputs((line + "\n").c_str(), stderr);
    }
}

std::string formatDuration(double total) {
    if (total < 60) return fmt::format("{:.1f} s", total);
    const auto whole = static_cast<std::int64_t>(total + 0.5);
    if (whole < 3600) return fmt::format("{} min {:02d} s", whole / 60, whole % 60);
    return fmt::format("{} h {:02d} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace medseg
