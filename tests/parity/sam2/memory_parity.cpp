// Memory encoder, rotary table, object pointers and memory attention on their own.
#include "fixture.h"
#include "medseg/nn/sam2/position_encoding.h"

namespace medseg::test {
namespace {

/// The features of the image that all of these were made with.
ImageFeatures imageFeatures() {
    ImageFeatures features;
    features.embedding = sam2Array("image/neck_2.npy");
    features.positions = sam2Array("image/neck_pos_2.npy");
    features.highResolution = {sam2Array("image/high_res_s0.npy"), sam2Array("image/high_res_s1.npy")};
    return features;
}

TEST(Sam2Parity, RotaryTable) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const Sam2Settings s = tinySettings("video");
    const RotaryTable table = rotaryTable(s.width / s.memoryHeads, s.gridSize(), s.rotaryTheta, torch::kFloat);
    expectFixture(table.cosines, "memory/rope_cos.npy", kCodeLimit);
    expectFixture(table.sines, "memory/rope_sin.npy", kCodeLimit);
}

TEST(Sam2Parity, MemoryEncoder) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    torch::NoGradGuard noGradient;
    Sam2 model = tinyModel("video");
    const ImageFeatures features = imageFeatures();
    const torch::Tensor masks = sam2Array("memory/in_mask_logits.npy");
    const torch::Tensor scores = sam2Array("memory/in_object_score_logits.npy");
    for (std::int64_t i = 0; i < masks.size(0); ++i)
        expectFixture(
            model->encodeMemory(features.embedding, masks.slice(0, i, i + 1), scores.slice(0, i, i + 1), i == 0),
            "memory/encoded_" + std::to_string(i) + ".npy", kFeatureLimit);
    expectFixture(model->memoryPositions(), "memory/pos_enc.npy", kCodeLimit);
}

TEST(Sam2Parity, ObjectPointers) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    torch::NoGradGuard noGradient;
    Sam2 model = tinyModel("video");
    const torch::Tensor pointers = sam2Array("memory/ptr_in.npy");
    expectFixture(model->pointerTokens(pointers), "memory/ptr_tokens.npy", 0);
    const double horizon = static_cast<double>(model->settings().maxPointers - 1);
    expectFixture(model->pointerSines({2, -1}, horizon), "memory/ptr_tpos_sine.npy", kCodeLimit);
    const torch::Tensor projected = sam2Array("memory/ptr_tpos_proj.npy");
    const std::int64_t pieces = model->settings().width / model->settings().memoryWidth;
    expectNear(model->pointerTimes({2, -1}, horizon), projected.unsqueeze(1).repeat_interleave(pieces, 0), kCodeLimit,
               "memory/ptr_tpos_proj.npy");
}

TEST(Sam2Parity, MemoryAttention) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    torch::NoGradGuard noGradient;
    Sam2 model = tinyModel("video");
    const torch::Tensor pointers = sam2Array("memory/ptr_in.npy");
    const std::int64_t tokens = model->pointerTokens(pointers).size(0);
    const torch::Tensor out = model->memoryAttention->forward(
        sam2Array("memory/attn_curr.npy"), sam2Array("memory/attn_curr_pos.npy"), sam2Array("memory/attn_memory.npy"),
        sam2Array("memory/attn_memory_pos.npy"), tokens, [](std::size_t layer, const torch::Tensor& x) {
            expectFixture(x, "memory/attn_layer_" + std::to_string(layer) + ".npy", kFeatureLimit);
        });
    expectFixture(out, "memory/attn_out.npy", kFeatureLimit);

    // The same from memories and pointers.
    Memory memory;
    memory.frames = {{sam2Array("memory/encoded_0.npy"), model->settings().memoryFrames - 1},
                     {sam2Array("memory/encoded_1.npy"), 0}};
    memory.pointers = {{pointers[0], 2}, {pointers[1], -1}};
    memory.pointerHorizon = static_cast<double>(model->settings().maxPointers - 1);
    const torch::Tensor attended = model->attendMemory(imageFeatures(), memory);
    expectNear(attended.flatten(2).permute({2, 0, 1}), sam2Array("memory/attn_out.npy"), kFeatureLimit,
               "attention from memories");
}

TEST(Sam2Parity, MaskAsPrompt) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    torch::NoGradGuard noGradient;
    Sam2 model = tinyModel("video");
    const torch::Tensor mask = (sam2Array("memory/in_mask_logits.npy").slice(0, 0, 1) > 0).to(torch::kFloat);
    const FrameMask adopted = model->adoptMask(imageFeatures(), mask);
    expectFixture(adopted.lowResolution, "memory/mask_output_low_res.npy", kLogitLimit);
    expectFixture(adopted.pointer, "memory/mask_output_obj_ptr.npy", kFeatureLimit);
    expectFixture(adopted.objectScore, "memory/mask_output_object_score_logits.npy", kScoreLimit, kScoreRelative);
}

}  // namespace
}  // namespace medseg::test
