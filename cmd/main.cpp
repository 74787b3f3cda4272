// The program's entry: finds the command, declares its options, runs it, and turns any error into one line and an exit
// code. The only place that catches errors.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>

#include <fmt/format.h>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/base/threads.h"
#include "medseg/base/version.h"

namespace medseg::cli {

std::vector<Command>& registeredCommands() {
    static std::vector<Command> commands;
    return commands;
}

namespace {

struct GlobalOptions {
    bool verbose = false;
    bool quiet = false;
    std::string logFile;
    int threads = 0;
};

void declareGlobalOptions(CLI::App& app, GlobalOptions& options) {
    app.add_flag("-v,--verbose", options.verbose, "Also print details")->group("General");
    app.add_flag("-q,--quiet", options.quiet, "Print warnings and errors only")->group("General");
    app.add_option("--log-file", options.logFile, "Also append all messages, with time stamps, to FILE")
        ->type_name("FILE")
        ->group("General");
    app.add_option("--threads", options.threads, "Threads to use; 0 = all cores (default; MEDSEG_THREADS sets it too)")
        ->check(CLI::NonNegativeNumber)
        ->type_name("N")
        ->group("General");
}

void applyGlobalOptions(const GlobalOptions& options) {
    configureLogging(options.verbose ? LogLevel::Debug
                     : options.quiet ? LogLevel::Warning
                                     : LogLevel::Info,
                     options.logFile);
    if (options.threads > 0) setThreadCount(options.threads);
}

/// Names inside damaged files may hold line breaks and terminal escapes: each control character becomes a space.
std::string oneLine(std::string text) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text;
}

const Command* findCommand(const std::string& name) {
    for (const Command& command : registeredCommands())
        if (command.name == name ||
            std::find(command.aliases.begin(), command.aliases.end(), name) != command.aliases.end())
            return &command;
    return nullptr;
}

void printOverview() {
    fmt::print("medseg {}: medical image segmentation, from file to trained model to measured 3D result\n\n",
               version());
    fmt::print("Usage: medseg COMMAND [options]\n\nCommands:\n");
    for (const Command& command : registeredCommands()) fmt::print("  {:<12} {}\n", command.name, command.summary);
    fmt::print(
        "\n`medseg COMMAND --help` lists a command's options, units, defaults and an example.\n"
        "Exit codes: 0 done, 1 failed while working, 2 wrong usage or configuration, 3 bad input data, 130 "
        "interrupted.\n");
}

int runCommand(const Command& command, int argc, char** argv) {
    CLI::App app(command.summary, "medseg " + command.name);
    app.get_formatter()->column_width(34);
    app.option_defaults()->always_capture_default();
    GlobalOptions global;
    const std::function<int()> run = command.declare(app);
    declareGlobalOptions(app, global);
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        fmt::print("{}", app.help());
        return static_cast<int>(ExitCode::Done);
    } catch (const CLI::ParseError& error) {
        throw UsageError(fmt::format("{}: see `medseg {} --help`", oneLine(error.what()), command.name));
    }
    applyGlobalOptions(global);
    return run();
}

int runProgram(int argc, char** argv) {
    auto& commands = registeredCommands();
    std::sort(commands.begin(), commands.end(), [](const Command& a, const Command& b) { return a.name < b.name; });
    const std::string first = argc > 1 ? argv[1] : "--help";
    if (first == "--help" || first == "-h" || first == "help") {
        printOverview();
        return static_cast<int>(argc > 1 ? ExitCode::Done : ExitCode::Usage);
    }
    if (first == "--version") {
        fmt::print("medseg {}\n", version());
        return static_cast<int>(ExitCode::Done);
    }
    const Command* command = findCommand(first);
    if (command == nullptr) throw UsageError(fmt::format("unknown command \"{}\": see `medseg --help`", first));
    return runCommand(*command, argc - 1, argv + 1);
}

int report(ExitCode code, const std::string& message) {
    // Without a text: another process of the job reports it.
    if (!message.empty()) medseg::logMessage(medseg::LogLevel::Error, oneLine(message));
    return static_cast<int>(code);
}

}  // namespace
}  // namespace medseg::cli

int main(int argc, char** argv) {
    using medseg::ExitCode;
    medseg::installInterruptHandlers();
    try {
        return medseg::cli::runProgram(argc, argv);
    } catch (const medseg::Error& error) {
        return medseg::cli::report(error.exitCode(), error.what());
    } catch (const std::bad_alloc&) {
        return medseg::cli::report(ExitCode::Failed, "out of memory: use smaller volumes, batches or fewer threads");
    } catch (const std::exception& error) {
        return medseg::cli::report(ExitCode::Failed, error.what());
    }
}
