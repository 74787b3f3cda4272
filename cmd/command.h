// How a command joins the program: one file cmd/<name>.cpp with one MEDSEG_COMMAND. The file parses, calls the library
// and prints; it holds no logic.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace medseg::cli {

struct Command {
    std::string name;
    std::string summary;  ///< one line for `medseg --help`
    /// Declares the options on `app` and returns the function that runs the command and returns its exit code.
    std::function<std::function<int()>(CLI::App& app)> declare;
    std::vector<std::string> aliases;
};

/// All commands of the program, sorted by name.
std::vector<Command>& registeredCommands();

struct CommandRegistration {
    explicit CommandRegistration(Command command) { registeredCommands().push_back(std::move(command)); }
};

}  // namespace medseg::cli

/// MEDSEG_COMMAND(info, "Describe a file", declareInfo) or with aliases as further string arguments.
#define MEDSEG_COMMAND(identifier, summary, declare, ...)                      \
    static const ::medseg::cli::CommandRegistration registration_##identifier( \
        ::medseg::cli::Command{#identifier, summary, declare, {__VA_ARGS__}})
