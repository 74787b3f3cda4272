#include "medseg/base/ranks.h"

#include <array>
#include <charconv>
#include <cstdlib>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

std::optional<std::string> variable(const char* name) {
    const char* value = name != nullptr ? std::getenv(name) : nullptr;
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
}

int number(const char* name, const std::string& text, int lowest, int highest) {
    int value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end || value < lowest || value > highest)
        throw UsageError(fmt::format("{}={}: must be a number from {} to {}", name, text, lowest, highest));
    return value;
}

int requiredNumber(const char* name, const char* beside, int lowest, int highest) {
    const auto text = variable(name);
    if (!text) throw UsageError(fmt::format("{} is set but {} is not: a launcher sets both", beside, name));
    return number(name, *text, lowest, highest);
}

/// The variables of one launcher.
struct Launcher {
    const char *rank, *size, *localRank;
};
constexpr std::array<Launcher, 3> kLaunchers{
    {{"RANK", "WORLD_SIZE", "LOCAL_RANK"},
     {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
     {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"}}};
constexpr int kMostRanks = 65536;

}  // namespace

std::string firstNode(const std::string& nodeList) {
    const std::size_t bracket = nodeList.find('['), comma = nodeList.find(',');
    if (bracket == std::string::npos || comma < bracket) return nodeList.substr(0, comma);
    const std::size_t end = nodeList.find_first_of(",-]", bracket);
    const std::size_t close = nodeList.find(']', bracket);
    std::string name = nodeList.substr(0, bracket) + nodeList.substr(bracket + 1, end - bracket - 1);
    if (close != std::string::npos) name += nodeList.substr(close + 1, nodeList.find(',', close) - close - 1);
    return name;
}

std::optional<RankSettings> rankFromEnvironment() {
    for (const Launcher& launcher : kLaunchers) {
        const auto rank = variable(launcher.rank);
        if (!rank) continue;
        // A batch script of Slurm has a SLURM_PROCID too, but is no step.
        if (!variable(launcher.size) && std::string(launcher.rank) == "SLURM_PROCID") continue;
        RankSettings settings;
        settings.size = requiredNumber(launcher.size, launcher.rank, 1, kMostRanks);
        settings.rank = number(launcher.rank, *rank, 0, settings.size - 1);
        if (settings.size == 1) return std::nullopt;
        settings.localRank = settings.rank;
        if (const auto local = variable(launcher.localRank))
            settings.localRank = number(launcher.localRank, *local, 0, settings.size - 1);
        if (const auto address = variable("MASTER_ADDR"))
            settings.address = *address;
        else if (const auto nodes = variable("SLURM_STEP_NODELIST"))
            settings.address = firstNode(*nodes);
        if (const auto port = variable("MASTER_PORT")) settings.port = number("MASTER_PORT", *port, 1, 65535);
        settings.launched = variable("MEDSEG_LAUNCHED").has_value();
        return settings;
    }
    return std::nullopt;
}

}  // namespace medseg
