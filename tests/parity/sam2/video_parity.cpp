// Tracking through a video: the scenarios v1 to v5 of the manifest.
#include "fixture.h"
#include "medseg/imaging/components.h"
#include "medseg/nn/sam2/video_predictor.h"

namespace medseg::test {
namespace {

using nlohmann::json;

FrameSource frameSource(Sam2 model, std::int64_t count) {
    const json prompts = sam2Json("video/prompts.json");
    const torch::Tensor frames = sam2Array("video/frames_resized_u8.npz", "frames");
    FrameSource source;
    source.count = count;
    source.height = prompts.at("video_height");
    source.width = prompts.at("video_width");
    source.features = [model, frames](std::int64_t index) mutable {
        torch::NoGradGuard noGradient;
        const torch::Tensor grey = frames[index].to(torch::kFloat).unsqueeze(0).unsqueeze(0) / 255;
        return model->encodeImages(normalizeColors(grey.expand({1, 3, -1, -1})));
    };
    return source;
}

std::array<float, 4> boxFrom(const json& box) {
    return box.get<std::array<float, 4>>();
}

/// Everything a propagation returns, stacked over its frames.
struct Track {
    std::vector<std::int64_t> frames;
    std::vector<FrameResult> results;
    std::vector<torch::Tensor> lowResolution, scores, pointers, memories, video;

    void add(const Sam2VideoPredictor& predictor, const FrameResult& result, int object, std::size_t row) {
        frames.push_back(result.frame);
        const RememberedFrame* known = predictor.remembered(object, result.frame);
        ASSERT_NE(known, nullptr);
        lowResolution.push_back(known->mask.lowResolution.squeeze(0));
        scores.push_back(known->mask.objectScore.squeeze(0));
        pointers.push_back(known->mask.pointer.squeeze(0));
        memories.push_back(known->memory.to(torch::kFloat).squeeze(0));
        video.push_back(result.logits[static_cast<std::int64_t>(row)]);
    }

    void check(const std::string& prefix) const {
        const auto exists = [&](const char* what) {
            return std::filesystem::exists(sam2Fixture("video/" + prefix + what + ".npy"));
        };
        const auto name = [&](const char* what) { return "video/" + prefix + what + ".npy"; };
        if (exists("_frames")) {
            const torch::Tensor expected = sam2Array(name("_frames")).to(torch::kLong);
            EXPECT_TRUE(torch::equal(torch::tensor(frames), expected)) << prefix;
        }
        expectFixture(torch::stack(lowResolution), name("_low_res"), kVideoLogitLimit);
        expectFixture(torch::stack(scores), name("_object_score_logits"), kVideoScoreLimit, kScoreRelative);
        expectFixture(torch::stack(pointers), name("_obj_ptr"), kPointerLimit);
        if (exists("_video_logits")) expectFixture(torch::stack(video), name("_video_logits"), kVideoLogitLimit);
        if (exists("_maskmem")) {
            const torch::Tensor memory = torch::stack(memories);
            expectFixture(memory, name("_maskmem"), kMemoryLimit);
            EXPECT_LE((memory - sam2Array(name("_maskmem"))).abs().mean().item<double>(), kMemoryMeanLimit) << prefix;
        }
    }
};

Track propagate(Sam2VideoPredictor& predictor, int object, bool reverse) {
    Track track;
    predictor.propagate([&](const FrameResult& result) { track.add(predictor, result, object, 0); }, reverse);
    return track;
}

void unite(torch::Tensor& segmentation, const Track& track) {
    for (std::size_t i = 0; i < track.frames.size(); ++i)
        segmentation[track.frames[i]].bitwise_or_((track.video[i].squeeze(0) > 0).to(torch::kByte));
}

void expectVoxels(const torch::Tensor& actual, const std::string& name) {
    const torch::Tensor expected = sam2Array(name);
    ASSERT_EQ(actual.sizes(), expected.sizes());
    EXPECT_LE((actual != expected).sum().item<std::int64_t>(), actual.numel() * 5 / 10000) << name;
}

torch::Tensor largest(const torch::Tensor& segmentation) {
    Volume<std::uint8_t> volume(
        Geometry({segmentation.size(2), segmentation.size(1), segmentation.size(0)}, identityAffine()));
    std::memcpy(volume.data(), segmentation.contiguous().data_ptr(), static_cast<std::size_t>(volume.voxelCount()));
    const Volume<std::uint8_t> kept = largestComponent(volume, Connectivity::TwentySix);
    torch::Tensor result = torch::empty_like(segmentation);
    std::memcpy(result.data_ptr(), kept.data(), static_cast<std::size_t>(kept.voxelCount()));
    return result;
}

TEST(Sam2Parity, VideoBoxBothDirections) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const json v1 = sam2Json("video/prompts.json").at("v1");
    Sam2 model = tinyModel("video");
    const FrameSource source = frameSource(model, v1.at("num_frames"));
    const int object = v1.at("obj_id");
    for (const bool bounded : {false, true}) {
        Sam2VideoPredictor predictor(model, source, bounded);
        FramePoints prompt;
        prompt.box = boxFrom(v1.at("box_xyxy"));
        const FrameResult first = predictor.addPoints(v1.at("prompt_frame"), object, prompt);
        expectFixture(first.logits, "video/v1_prompt_logits.npy", kVideoLogitLimit);
        const Track forward = propagate(predictor, object, false);
        forward.check("v1_fwd");
        predictor.reset();
        predictor.addPoints(v1.at("prompt_frame"), object, prompt);
        const Track backward = propagate(predictor, object, true);
        backward.check("v1_rev");
        torch::Tensor segmentation = torch::zeros({source.count, source.height, source.width}, torch::kByte);
        unite(segmentation, forward);
        unite(segmentation, backward);
        expectVoxels(segmentation, "video/v1_seg.npy");
        expectVoxels(largest(segmentation), "video/v1_seg_largest_cc.npy");
    }
}

TEST(Sam2Parity, VideoMaskPrompt) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const json v2 = sam2Json("video/prompts.json").at("v2");
    Sam2 model = tinyModel("video");
    const FrameSource source = frameSource(model, v2.at("num_frames"));
    const std::int64_t frame = v2.at("prompt_frame");
    FramePoints prompt;
    prompt.box = boxFrom(v2.at("box_xyxy"));
    Sam2VideoPredictor predictor(model, source);
    const FrameResult boxed = predictor.addPoints(frame, 1, prompt);
    const torch::Tensor mask = (boxed.logits[0][0] > 0).to(torch::kByte);
    expectVoxels(mask, "video/v2_prompt_mask.npy");
    const FrameResult masked = predictor.addMask(frame, 1, mask);
    expectFixture(masked.logits, "video/v2_mask_frame_logits.npy", kVideoLogitLimit);
    torch::Tensor segmentation = torch::zeros({source.count, source.height, source.width}, torch::kByte);
    const Track forward = propagate(predictor, 1, false);
    forward.check("v2_fwd");
    predictor.reset();
    predictor.addMask(frame, 1, mask);
    const Track backward = propagate(predictor, 1, true);
    backward.check("v2_rev");
    unite(segmentation, forward);
    unite(segmentation, backward);
    expectVoxels(segmentation, "video/v2_seg.npy");
}

TEST(Sam2Parity, VideoTwoObjectsAndCorrection) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const json v3 = sam2Json("video/prompts.json").at("v3");
    Sam2VideoPredictor predictor(tinyModel("video"), frameSource(tinyModel("video"), v3.at("num_frames")));
    const auto click = [](const json& where, bool keep) {
        FramePoints prompt;
        prompt.points.push_back(where.at("xy").get<std::array<float, 2>>());
        prompt.labels.push_back(where.at("label").get<int>());
        prompt.keepEarlier = keep;
        return prompt;
    };
    const json& obj1 = v3.at("obj1");
    expectFixture(predictor.addPoints(obj1.at("frame"), 1, click(obj1.at("click1"), false)).logits,
                  "video/v3_obj1_click1_logits.npy", kVideoLogitLimit);
    expectFixture(predictor.addPoints(obj1.at("frame"), 1, click(obj1.at("click2"), true)).logits,
                  "video/v3_obj1_click2_logits.npy", kVideoLogitLimit);
    FramePoints box;
    box.box = boxFrom(v3.at("obj7").at("box_xyxy"));
    const std::int64_t boxFrame = v3.at("obj7").at("frame");
    expectFixture(predictor.addPoints(boxFrame, 7, box).logits,
                  "video/v3_obj7_box_frame" + std::to_string(boxFrame) + "_logits.npy", kVideoLogitLimit);
    Track first, second;
    predictor.propagate(
        [&](const FrameResult& result) {
            first.add(predictor, result, 1, 0);
            second.add(predictor, result, 7, 1);
        },
        false, v3.at("propagate").at("start_frame_idx").get<std::int64_t>());
    EXPECT_EQ(first.frames, v3.at("propagate").at("frames").get<std::vector<std::int64_t>>());
    first.check("v3_obj1");
    second.check("v3_obj7");

    const json& correction = v3.at("correction");
    const std::int64_t frame = correction.at("frame");
    const std::string stem = "video/v3_obj7_correct_frame" + std::to_string(frame);
    expectFixture(predictor.addPoints(frame, correction.at("obj_id"), click(correction, false)).logits,
                  stem + "_logits.npy", kVideoLogitLimit);
    Track after;
    const json& then = v3.at("then");
    predictor.propagate([&](const FrameResult& result) { after.add(predictor, result, 7, 1); }, true,
                        then.at("start_frame_idx").get<std::int64_t>(),
                        then.at("max_frame_num_to_track").get<std::int64_t>());
    EXPECT_EQ(after.frames, then.at("frames").get<std::vector<std::int64_t>>());
    after.check("v3_obj7_after_rev");
}

TEST(Sam2Parity, VideoOtherFlags) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const json prompts = sam2Json("video/prompts.json");
    const auto run = [&](const json& scenario, const Sam2& model, const std::string& prefix) {
        Sam2VideoPredictor predictor(model, frameSource(model, scenario.at("num_frames")));
        FramePoints prompt;
        prompt.box = boxFrom(scenario.at("box_xyxy"));
        predictor.addPoints(scenario.at("prompt_frame"), 1, prompt);
        propagate(predictor, 1, false).check(prefix);
    };
    run(prompts.at("v4"), tinyModelOf20(), "v4_sam20_fwd");
    run(prompts.at("v5"), tinyModel(""), "v5_nopost_fwd");
}

TEST(Sam2Parity, VideoRefusals) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    Sam2 model = tinyModel("video");
    Sam2VideoPredictor predictor(model, frameSource(model, 3));
    FramePoints box;
    box.box = {1, 1, 9, 9};
    EXPECT_ANY_THROW(predictor.propagate([](const FrameResult&) {}));
    EXPECT_ANY_THROW(predictor.addPoints(3, 1, box));
    EXPECT_ANY_THROW(predictor.addPoints(0, 1, {}));
    predictor.addPoints(0, 1, box);
    int frames = 0;
    predictor.propagate([&](const FrameResult&) { ++frames; }, true);
    EXPECT_EQ(frames, 0) << "nothing lies before frame 0";
}

}  // namespace
}  // namespace medseg::test
