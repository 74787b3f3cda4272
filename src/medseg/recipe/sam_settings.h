// The recipe's section `sam`: SAM, MedSAM and their relatives (model.kind: sam).
#pragma once

#include <string>
#include <vector>

#include "medseg/recipe/settings.h"

namespace medseg {

/// Network and training of the SAM family; prepare_medsam describes the preparation.
struct SamSettings {
    std::string model = "vit_b";
    std::string checkpoint;
    int imageSize = 0;
    std::string style = "medsam";
    int boxJitter = 20;
    std::string train = "encoder_and_decoder";
    bool cacheEmbeddings = true;
    bool recomputeActivations = false;
    int loraRank = 0;
    double loraAlpha = 16;
    double loraDropout = 0;
    std::vector<std::string> loraTargets{"qkv"};
};

/// Pixels of the network's input along both axes.
inline int samInputSize(const SamSettings& settings) {
    if (settings.imageSize > 0) return settings.imageSize;
    if (settings.model == "vit_tiny") return 128;
    return settings.model == "lite_medsam" ? 256 : 1024;
}

template <typename Visitor>
void visitFields(Visitor&& field, SamSettings& s) {
    field("model", s.model, "network; vit_tiny trains on a CPU in minutes",
          oneOf({"vit_b", "vit_l", "vit_h", "medsam", "mobile_sam", "lite_medsam", "vit_tiny"}));
    field("checkpoint", s.checkpoint, "weights to start from (.pth or .safetensors); empty: random", Allowed{});
    field("image_size", s.imageSize, "pixels of the network's input, a multiple of its patches; 0: as published",
          between(0, 4096));
    field("style", s.style, "how images are prepared for prediction", oneOf({"sam", "medsam", "litemedsam"}));
    field("box_jitter", s.boxJitter,
          "training: each side of a box moves outwards by up to so many pixels of an input of 1024, in proportion for "
          "other sizes",
          between(0, 1024));
    field("train", s.train, "what learns; the prompt encoder never does", oneOf({"encoder_and_decoder", "decoder"}));
    field("cache_embeddings", s.cacheEmbeddings,
          "train: decoder: compute the embedding of a slice once and keep it in MODEL/embeddings", Allowed{});
    field("recompute_activations", s.recomputeActivations,
          "compute activations of the encoder's blocks again in the backward pass: less memory, a third more work",
          Allowed{});
    field("lora_rank", s.loraRank,
          "rank of low-rank adapters, which then learn instead of the encoder's weights (the decoder learns whole); 0: "
          "none",
          between(0, 1024));
    field("lora_alpha", s.loraAlpha, "adapters count alpha / rank", between(0, 1e4));
    field("lora_dropout", s.loraDropout, "dropout on the adapters' input", between(0, 0.9));
    field("lora_targets", s.loraTargets, "layers that get an adapter: qkv, proj, lin1, lin2, or longer paths",
          Allowed{});
}

}  // namespace medseg
