// Prompt encoder and mask decoder.
#include "fixture.h"

namespace medseg::test {
namespace {

PromptBatch prompts(const torch::Tensor& points, const torch::Tensor& labels, const torch::Tensor& boxes,
                    const torch::Tensor& masks) {
    PromptBatch batch;
    batch.points = points;
    batch.labels = labels;
    batch.boxes = boxes;
    batch.masks = masks;
    return batch;
}

/// Boxes (n, 4) as two points with labels 2 and 3.
PromptBatch asPoints(const torch::Tensor& corners) {
    const std::int64_t count = corners.size(0);
    const torch::Tensor labels = torch::tensor({2, 3}, torch::kInt).unsqueeze(0).expand({count, 2});
    return prompts(corners.reshape({count, 2, 2}), labels, {}, {});
}

TEST(Sam2Parity, PromptEncoder) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    torch::NoGradGuard noGradient;
    Sam2 model = tinyModel("image");
    PromptEncoderImpl& encoder = *model->promptEncoder;
    const torch::Tensor points = sam2Array("prompt/in_points.npy");
    const torch::Tensor labels = sam2Array("prompt/in_labels.npy");
    const torch::Tensor boxes = sam2Array("prompt/in_boxes.npy");
    const torch::Tensor mask = sam2Array("prompt/in_mask.npy");
    expectFixture(encoder.forward(prompts(points, labels, {}, {})).sparse, "prompt/points_sparse.npy", kCodeLimit);
    expectFixture(encoder.forward(prompts({}, {}, boxes, {})).sparse, "prompt/boxes_sparse.npy", kCodeLimit);
    expectFixture(encoder.forward(prompts(points, labels, boxes, {})).sparse, "prompt/points_and_boxes_sparse.npy",
                  kCodeLimit);
    expectFixture(encoder.forward(asPoints(boxes)).sparse, "prompt/box_as_points_sparse.npy", kCodeLimit);
    expectFixture(encoder.forward(prompts({}, {}, {}, mask)).dense, "prompt/mask_dense.npy", kFeatureLimit);
    expectFixture(encoder.gridPosition(), "prompt/dense_pe.npy", kCodeLimit);
}

TEST(Sam2Parity, MaskDecoder) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    torch::NoGradGuard noGradient;
    Sam2 model = tinyModel("image");
    const torch::Tensor embedding = sam2Array("image/image_embed.npy");
    const HighResolutionFeatures features{sam2Array("image/high_res_s0.npy"), sam2Array("image/high_res_s1.npy")};
    const PromptEmbedding prompt = model->promptEncoder->forward(asPoints(sam2Array("decoder/in_box_coords.npy")));
    expectFixture(prompt.sparse, "decoder/in_sparse.npy", kCodeLimit);
    const torch::Tensor grid = model->promptEncoder->gridPosition();

    const Sam2MaskOutput all = model->maskDecoder->allMasks(embedding, grid, prompt, features);
    expectFixture(all.masks, "decoder/all4_masks.npy", kLogitLimit);
    expectFixture(all.ious, "decoder/all4_ious.npy", kIouLimit);
    expectFixture(all.tokens, "decoder/all4_tokens.npy", kFeatureLimit);
    expectFixture(all.objectScore, "decoder/all4_object_score_logits.npy", kScoreLimit, kScoreRelative);

    const Sam2MaskOutput several = model->maskDecoder->forward(embedding, grid, prompt, features, true);
    expectFixture(several.tokens, "decoder/multi_sam_tokens.npy", kFeatureLimit);
    expectNear(several.masks, all.masks.slice(1, 1), 0, "candidates");
    const Sam2MaskOutput single = model->maskDecoder->forward(embedding, grid, prompt, features, false);
    expectFixture(single.masks, "decoder/single_dynamic_masks.npy", kLogitLimit);
    expectFixture(single.ious, "decoder/single_dynamic_ious.npy", kIouLimit);
    expectFixture(single.tokens, "decoder/single_dynamic_sam_tokens.npy", kFeatureLimit);
}

TEST(Sam2Parity, StabilityRule) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const Sam2Settings s = tinySettings("image");
    const StabilityChoice choice =
        chooseByStability(sam2Array("decoder/dyn_in_logits.npy"), sam2Array("decoder/dyn_in_ious.npy"),
                          s.stabilityDelta, s.stabilityThreshold);
    expectFixture(choice.masks, "decoder/dyn_out_logits.npy", 0);
    expectFixture(choice.ious, "decoder/dyn_out_ious.npy", 0);
    expectFixture(choice.stability.unsqueeze(1), "decoder/dyn_stability.npy", 1e-6);
    const StabilityChoice real =
        chooseByStability(sam2Array("decoder/all4_masks.npy"), sam2Array("decoder/all4_ious.npy"), s.stabilityDelta,
                          s.stabilityThreshold);
    expectFixture(real.stability.unsqueeze(1), "decoder/stability_scores.npy", 1e-6);
}

}  // namespace
}  // namespace medseg::test
