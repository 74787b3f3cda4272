// Which process of a job this one is: jobs of several processes number them from 0 ("ranks").
#pragma once

#include <optional>
#include <string>

namespace medseg {

struct RankSettings {
    int rank = 0;
    int size = 1;       ///< processes of the job
    int localRank = 0;  ///< number among those on this machine
    std::string address = "127.0.0.1";
    int port = 29500;       ///< rank 0 listens there for the others
    bool launched = false;  ///< by launchRanks(), which reports what ends the job
};

/// From the variables that launchers set, the first of these that is there:
///   RANK, WORLD_SIZE, LOCAL_RANK                                     torchrun, launchRanks()
///   OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE, .._LOCAL_RANK        mpirun (Open MPI)
///   SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID                srun
/// The address is MASTER_ADDR, else the first node of SLURM_STEP_NODELIST, else this machine; the port MASTER_PORT.
/// Nothing when there is no job, or one of a single process. Throws UsageError naming a variable that is missing or no
/// number in range.
std::optional<RankSettings> rankFromEnvironment();

/// Exit code with which a rank that launchRanks() started says, silently, that it lost contact to another one.
constexpr int kLostContactCode = 76;

/// "node03" of "node[03-07,12],other": the first machine of a Slurm node list.
std::string firstNode(const std::string& nodeList);

/// Runs this program's command line again in `processes` processes, which share the threads evenly, and waits for them.
/// Returns 0 when all ended with 0. When one fails the others are ended; returns its exit code if it was an error that
/// it reported itself, else throws WorkError that says which rank was lost. Throws InterruptedError after Ctrl-C, when
/// the ranks have stopped.
int launchRanks(int processes);

}  // namespace medseg
