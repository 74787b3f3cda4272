#include "medseg/base/logging.h"

#include <cstdio>
#include <memory>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include "medseg/base/error.h"
#include "medseg/base/progress.h"

namespace medseg {
namespace {

LogLevel shownLevel = LogLevel::Info;
std::shared_ptr<spdlog::logger> fileLogger;

spdlog::level::level_enum toSpdlog(LogLevel level) {
    switch (level) {
        case LogLevel::Debug: return spdlog::level::debug;
        case LogLevel::Info: return spdlog::level::info;
        case LogLevel::Warning: return spdlog::level::warn;
        case LogLevel::Error: return spdlog::level::err;
        case LogLevel::Off: break;
    }
    return spdlog::level::off;
}

}  // namespace

void configureLogging(LogLevel level, const std::filesystem::path& logFile) {
    shownLevel = level;
    fileLogger.reset();
    if (logFile.empty()) return;
    try {
        auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(logFile.string(), false);
        fileLogger = std::make_shared<spdlog::logger>("file", std::move(sink));
        fileLogger->set_level(spdlog::level::debug);
        fileLogger->flush_on(spdlog::level::debug);
    } catch (const spdlog::spdlog_ex&) {
        throw WorkError(logFile.string(), "cannot open the log file for writing");
    }
}

LogLevel logLevel() { return shownLevel; }

void logMessage(LogLevel level, const std::string& message) {
    if (fileLogger) fileLogger->log(toSpdlog(level), message);
    if (level < shownLevel) return;
    const char* prefix = level == LogLevel::Warning ? "medseg: warning: " : level == LogLevel::Error ? "medseg: error: " : "";
    Progress::clearLine();
    std::fputs(fmt::format("{}{}\n", prefix, message).c_str(), stderr);
}

}  // namespace medseg
