#include "medseg/nn/sam2/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "medseg/base/error.h"
#include "medseg/io/state_dict.h"

namespace medseg {
namespace {

Sam2Settings hieraSettings(std::int64_t embedDim, std::int64_t heads, std::vector<std::int64_t> stages,
                           std::vector<std::int64_t> globalBlocks, std::vector<std::int64_t> windows,
                           std::int64_t backgroundSide, bool version21) {
    Sam2Settings s;
    s.trunk.embedDim = embedDim;
    s.trunk.heads = heads;
    s.trunk.stages = std::move(stages);
    s.trunk.globalBlocks = std::move(globalBlocks);
    s.trunk.windows = std::move(windows);
    s.trunk.backgroundGrid = {backgroundSide, backgroundSide};
    s.spatialNoObjectEmbedding = version21;
    s.pointerTimeEncoding = version21;
    return s;
}

Sam2Settings tiny(bool version21) {
    return hieraSettings(96, 1, {1, 2, 7, 2}, {5, 7, 9}, {8, 4, 14, 7}, 7, version21);
}
Sam2Settings small(bool version21) {
    return hieraSettings(96, 1, {1, 2, 11, 2}, {7, 10, 13}, {8, 4, 14, 7}, 7, version21);
}
Sam2Settings basePlus(bool version21) {
    return hieraSettings(112, 2, {2, 3, 16, 3}, {12, 16, 20}, {8, 4, 14, 7}, 14, version21);
}
Sam2Settings large(bool version21) {
    return hieraSettings(144, 2, {2, 6, 36, 4}, {23, 33, 43}, {8, 4, 16, 8}, 7, version21);
}

Sam2Settings medSam2() {
    Sam2Settings s = tiny(true);
    s.imageSize = 512;
    return s;
}

Sam2Settings efficientTam(std::int64_t embedDim, std::int64_t heads) {
    Sam2Settings s;
    s.trunk.kind = "vit";
    s.trunk.embedDim = embedDim;
    s.trunk.heads = heads;
    s.trunk.windowedBlocks = {0, 1, 3, 4, 6, 7, 9, 10};
    s.droppedLevels = 0;
    s.imageSize = 512;
    s.highResolutionFeatures = false;
    return s;
}

Sam2Settings mini() {
    Sam2Settings s = hieraSettings(24, 1, {1, 2, 3, 2}, {4}, {8, 4, 8, 4}, 7, true);
    s.width = 64;
    s.memoryWidth = 16;
    s.memoryLayers = 2;
    s.memoryMlp = 256;
    s.decoderMlp = 256;
    s.iouHidden = 64;
    s.imageSize = 256;
    // Trained from scratch on single masks, its three candidates learn nothing: no prompt may ask for them, and none
    // replaces an unstable mask.
    s.multimaskMaxPoints = -1;
    s.stabilityRule = false;
    return s;
}

std::int64_t sizeAt(const TensorRecord* tensor, std::size_t axis) {
    return tensor != nullptr && axis < tensor->shape.size() ? tensor->shape[axis] : 0;
}

/// What shapes tell about a model.
struct Traits {
    std::int64_t patchKernel = 0;
    std::int64_t embedDim = 0;
    std::int64_t width = 0;
    std::int64_t memoryWidth = 0;
    std::int64_t blocks = 0;
    bool version21 = false;

    bool operator==(const Traits&) const = default;
};

Traits traitsOf(const NamedTensors& weights) {
    Traits t;
    const auto find = [&](const std::string& name) { return findTensor(weights, name); };
    const TensorRecord* patch = find("image_encoder.trunk.patch_embed.proj.weight");
    t.patchKernel = sizeAt(patch, 2);
    t.embedDim = sizeAt(patch, 0);
    t.width = sizeAt(find("no_mem_embed"), 2);
    t.memoryWidth = sizeAt(find("maskmem_tpos_enc"), 3);
    while (find(fmt::format("image_encoder.trunk.blocks.{}.norm1.weight", t.blocks)) != nullptr) ++t.blocks;
    t.version21 = find("no_obj_embed_spatial") != nullptr;
    return t;
}

Traits traitsOf(const Sam2Settings& s) {
    const bool hiera = s.trunk.kind == "hiera";
    Traits t;
    t.patchKernel = hiera ? 7 : s.trunk.patch;
    t.embedDim = s.trunk.embedDim;
    t.width = s.width;
    t.memoryWidth = s.memoryWidth;
    t.blocks = hiera ? hieraStageEnds(s.trunk).back() + 1 : s.trunk.depth;
    t.version21 = s.spatialNoObjectEmbedding;
    return t;
}

}  // namespace

const std::vector<RegisteredSam2>& registeredSam2() {
    static const std::vector<RegisteredSam2> models{
        {"sam2_hiera_t", tiny(false)},
        {"sam2_hiera_s", small(false)},
        {"sam2_hiera_b+", basePlus(false)},
        {"sam2_hiera_l", large(false)},
        {"sam2.1_hiera_t", tiny(true)},
        {"sam2.1_hiera_s", small(true)},
        {"sam2.1_hiera_b+", basePlus(true)},
        {"sam2.1_hiera_l", large(true)},
        {"medsam2_sam2.1_hiera_t512", medSam2()},
        {"efficienttam_s_512x512", efficientTam(384, 6)},
        {"efficienttam_ti_512x512", efficientTam(192, 3)},
        {"hiera_mini", mini()},
    };
    return models;
}

const Sam2Settings& sam2ByName(const std::string& name) {
    std::vector<std::string> names;
    for (const RegisteredSam2& model : registeredSam2()) {
        if (model.name == name) return model.settings;
        names.push_back(model.name);
    }
    throw UsageError(fmt::format("no SAM 2 model is called {}: use one of {}", name, fmt::join(names, ", ")));
}

Sam2Settings identifySam2(const NamedTensors& weights, const std::string& source) {
    const Traits found = traitsOf(weights);
    if (found.embedDim == 0 || found.width == 0)
        throw DataError(source, "not the weights of a SAM 2 model: `medseg checkpoint inspect` tells what it is");
    for (const RegisteredSam2& model : registeredSam2())
        if (traitsOf(model.settings) == found) return model.settings;
    throw DataError(source, fmt::format("a SAM 2 of a size that is not registered ({} blocks, {} channels, width {}): "
                                        "give the recipe it was trained with",
                                        found.blocks, found.embedDim, found.width));
}

}  // namespace medseg
