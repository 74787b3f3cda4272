// Messages to people, on stderr. Standard output carries results only.
#pragma once

#include <filesystem>
#include <utility>

#include <fmt/format.h>

namespace medseg {

enum class LogLevel { Debug, Info, Warning, Error, Off };

/// Sets what is shown on stderr, and with a non-empty `logFile` also appends everything from Debug up to that file,
/// with time stamps. Throws WorkError if the file cannot be opened.
void configureLogging(LogLevel level, const std::filesystem::path& logFile = {});
LogLevel logLevel();

/// Writes one line. Warnings and errors are prefixed "medseg: warning: " / "medseg: error: ".
void logMessage(LogLevel level, const std::string& message);

template <typename... Args>
void logDebug(fmt::format_string<Args...> format, Args&&... args) {
    logMessage(LogLevel::Debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void logInfo(fmt::format_string<Args...> format, Args&&... args) {
    logMessage(LogLevel::Info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void logWarning(fmt::format_string<Args...> format, Args&&... args) {
    logMessage(LogLevel::Warning, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace medseg
