#include "medseg/nn/sam/sam.h"

namespace medseg {

SamImpl::SamImpl(const SamShape& shape) : shape_(shape) {
    if (shape.encoder == SamEncoderKind::Vit)
        imageEncoder = register_module("image_encoder", std::make_shared<VitImageEncoderImpl>(shape.vit));
    else
        imageEncoder = register_module("image_encoder", std::make_shared<TinyVitEncoderImpl>(shape.tinyVit));
    promptEncoder = register_module("prompt_encoder", PromptEncoder(shape.prompt));
    maskDecoder = register_module("mask_decoder", MaskDecoder(shape.decoder));
}

MaskPrediction SamImpl::decode(const torch::Tensor& embedding, const PromptBatch& prompts, bool multimask) {
    return maskDecoder->forward(embedding, promptEncoder->gridPosition(), promptEncoder->forward(prompts), multimask);
}

}  // namespace medseg
