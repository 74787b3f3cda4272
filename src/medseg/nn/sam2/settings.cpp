#include "medseg/nn/sam2/settings.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

std::vector<std::int64_t> hieraStageEnds(const Sam2TrunkSettings& trunk) {
    std::vector<std::int64_t> ends;
    std::int64_t blocks = 0;
    for (const std::int64_t count : trunk.stages) ends.push_back((blocks += count) - 1);
    return ends;
}

std::vector<HieraBlockSettings> hieraBlocks(const Sam2TrunkSettings& trunk) {
    if (trunk.stages.empty() || trunk.windows.size() != trunk.stages.size())
        throw DataError("Hiera needs as many window sizes as stages");
    const std::vector<std::int64_t> ends = hieraStageEnds(trunk);
    const auto isIn = [](const std::vector<std::int64_t>& list, std::int64_t value) {
        return std::find(list.begin(), list.end(), value) != list.end();
    };
    std::vector<HieraBlockSettings> blocks;
    std::int64_t dim = trunk.embedDim;
    std::int64_t heads = trunk.heads;
    std::size_t stage = 0;
    for (std::int64_t i = 0; i <= ends.back(); ++i) {
        HieraBlockSettings block;
        block.dim = dim;
        // The first block of a stage still has the windows of the stage before, and pools inside them.
        block.window = isIn(trunk.globalBlocks, i) ? 0 : trunk.windows[stage];
        const bool startsStage = i > 0 && isIn(ends, i - 1);
        if (startsStage) {
            dim *= 2;
            heads *= 2;
            block.queryPool = static_cast<std::int64_t>(stage) < trunk.queryPools;
            ++stage;
        }
        block.dimOut = dim;
        block.heads = heads;
        blocks.push_back(block);
    }
    return blocks;
}

std::vector<std::int64_t> trunkChannels(const Sam2TrunkSettings& trunk) {
    if (trunk.kind == "vit") return {trunk.embedDim};
    std::vector<std::int64_t> channels;
    for (std::size_t stage = 0; stage < trunk.stages.size(); ++stage) channels.push_back(trunk.embedDim << stage);
    return channels;
}

void checkSam2Settings(const Sam2Settings& s) {
    const auto fail = [](const std::string& text) { throw DataError("SAM 2 settings: " + text); };
    if (s.trunk.kind != "hiera" && s.trunk.kind != "vit") fail(fmt::format("unknown trunk {}", s.trunk.kind));
    if (s.imageSize < 32 || s.imageSize > 4096) fail(fmt::format("image size {} is not in 32..4096", s.imageSize));
    if (s.imageSize % 32 != 0) fail(fmt::format("image size {} is no multiple of 32", s.imageSize));
    if (s.width % 8 != 0 || s.width < 32) fail(fmt::format("width {} is no multiple of 8", s.width));
    if (s.memoryWidth <= 0 || s.width % s.memoryWidth != 0)
        fail(fmt::format("width {} is no multiple of the memory width {}", s.width, s.memoryWidth));
    if (s.trunk.kind == "vit") return;
    const std::int64_t finest = s.imageSize / 4;
    if (finest % s.trunk.windows.front() != 0)
        fail(fmt::format("the grid of {} tokens is no multiple of the first window {}", finest,
                         s.trunk.windows.front()));
    if (static_cast<std::int64_t>(s.trunk.stages.size()) - s.droppedLevels != 3)
        fail("three levels are needed after the dropped ones");
    hieraBlocks(s.trunk);
}

}  // namespace medseg
