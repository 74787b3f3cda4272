// The errors medseg throws. Each is thrown where its cause is known, with the file and the value that caused it,
// and caught once, in cmd/main.cpp, which prints it as one line and returns its exit code.
#pragma once

#include <stdexcept>
#include <string>

namespace medseg {

/// Exit codes of the program (a stable contract).
enum class ExitCode : int { Done = 0, Failed = 1, Usage = 2, BadInput = 3, Interrupted = 130 };

/// Base of all errors. `what()` is one line: "FILE: what is wrong: what to do" (file and advice where they exist).
class Error : public std::runtime_error {
  public:
    Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
    ExitCode exitCode() const { return code_; }

  private:
    ExitCode code_;
};

/// Wrong flags or a wrong recipe (exit 2).
class UsageError : public Error {
  public:
    explicit UsageError(const std::string& message) : Error(ExitCode::Usage, message) {}
};

/// A file or dataset that cannot be used: missing, damaged, or not matching its partner (exit 3).
class DataError : public Error {
  public:
    explicit DataError(const std::string& message) : Error(ExitCode::BadInput, message) {}
    DataError(const std::string& file, const std::string& problem)
        : Error(ExitCode::BadInput, file + ": " + problem) {}
};

/// Work that failed for a reason outside the input: unwritable output, full disk, out of memory (exit 1).
class WorkError : public Error {
  public:
    explicit WorkError(const std::string& message) : Error(ExitCode::Failed, message) {}
    WorkError(const std::string& file, const std::string& problem) : Error(ExitCode::Failed, file + ": " + problem) {}
};

/// The user pressed Ctrl-C or the process got SIGTERM; unfinished outputs are already gone (exit 130).
class InterruptedError : public Error {
  public:
    explicit InterruptedError(const std::string& message = "interrupted") : Error(ExitCode::Interrupted, message) {}
};

}  // namespace medseg
