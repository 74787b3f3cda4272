#include "medseg/pipeline/rank_training.h"

#include "medseg/nn/network_module.h"

namespace medseg {

void trainAsRank(Pipeline& pipeline, const RankSettings& rank, bool force) {
    NetworkModule& network = loadNetworkModule();
    network.joinRanks(rank);
    if (rank.rank > 0) {
        network.waitForFirstRank();
        pipeline.joinTraining(force);
        return;
    }
    pipeline.run({Stage::Generate, Stage::Prepare}, false);
    network.releaseOtherRanks();
    pipeline.run({Stage::Train}, force);
}

}  // namespace medseg
