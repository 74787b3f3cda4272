#include "medseg/nn/sam3d/mesh_decoder.h"

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {

MeshDecoderShape meshDecoderShape(const std::string& preset) {
    MeshDecoderShape shape;
    if (preset == "tiny") {
        shape.torso.width = 128;
        shape.torso.blocks = 4;
        shape.torso.heads = 4;
        shape.torso.mlpRatio = 2;
        shape.groups = 8;
        shape.colors = false;
    } else if (preset == "small") {
        shape.torso.width = 384;
        shape.torso.blocks = 6;
        shape.torso.heads = 6;
        shape.groups = 16;
    } else if (preset != "official") {
        throw UsageError(fmt::format("mesh decoder preset \"{}\" is none of: tiny, small, official", preset));
    }
    return shape;
}

MeshDecoderImpl::MeshDecoderImpl(const MeshDecoderShape& shape) : shape_(shape) {
    torso_ = SparseTransformer(shape.torso);
    // The torso's names stand beside those of the head.
    for (const auto& child : torso_->named_children()) register_module(child.key(), child.value());
    const auto list = register_module("upsample", std::make_shared<torch::nn::Module>());
    const std::int64_t width = shape.torso.width, first = width / 4, second = width / 8;
    upsampling_.push_back(list->register_module("0", SubdivisionBlock(width, first, shape.groups)));
    upsampling_.push_back(list->register_module("1", SubdivisionBlock(first, second, shape.groups)));
    output_ = register_module("out_layer", Linear(second, MeshChannels{shape.colors}.count()));
    torch::NoGradGuard noGradient;
    output_->weight.zero_();
    output_->bias.zero_();
}

DecodedField MeshDecoderImpl::forward(const torch::Tensor& latents, const SparseStructurePointer& structure) {
    auto x = torso_->forward(latents, *structure);
    SparseStructurePointer grid = structure;
    for (SubdivisionBlock& block : upsampling_) {
        x = block->forward(x, *grid);
        grid = grid->subdivided();
    }
    return {grid, output_->forward(x)};
}

std::vector<DecodedMesh> MeshDecoderImpl::meshes(const DecodedField& field, bool training,
                                                 const std::vector<torch::Tensor>& solids) const {
    const auto& items = field.structure->itemIndices();
    std::vector<DecodedMesh> meshes(items.empty() ? 0 : static_cast<std::size_t>(items.back()) + 1);
    for (DecodedMesh& mesh : meshes) mesh = emptyMesh(shape_.colors);
    for (std::size_t i = 0; i < items.size(); ++i) {
        const auto [first, rows] = field.structure->items()[i];
        const auto item = static_cast<std::size_t>(items[i]);
        meshes[item] =
            extractMesh(field.structure->positions().narrow(0, first, rows), field.channels.narrow(0, first, rows),
                        shape_.meshResolution(), MeshChannels{shape_.colors}, training,
                        solids.empty() ? torch::Tensor() : solids.at(item));
    }
    return meshes;
}

}  // namespace medseg
