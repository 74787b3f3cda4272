// Fine-tuning SAM 2 from slices on disk: it learns, resumes exactly, and the checkpoint opens again.
#include "medseg/train/sam2_task.h"

#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/prompt_slices.h"
#include "medseg/io/npy.h"
#include "medseg/nn/sam2/fine_tuning.h"
#include "medseg/nn/sam2/image_predictor.h"
#include "medseg/nn/sam2/model_file.h"
#include "medseg/nn/sam2/video_predictor.h"
#include "medseg/nn/tensor_bridge.h"
#include "medseg/train/trainer.h"

namespace medseg {
namespace {

class Sam2TaskTest : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("medseg-sam2-task-" + std::to_string(::getpid()));
        createDirectories(folder_ / "npy" / "imgs");
        createDirectories(folder_ / "npy" / "gts");
        for (int i = 0; i < 6; ++i) writeSlice(i);
        request_.recipe.model.kind = "sam2";
        request_.recipe.sam2.model = "hiera_mini";
        request_.recipe.sam2.imageSize = 64;
        request_.recipe.sam2.boxShift = 2;
        request_.recipe.data.structures = {"disc", "square"};
        request_.recipe.data.validationFraction = 0.34;
        request_.recipe.data.holdOutEvery = 3;
        request_.recipe.sam2.boxShift = 1;
        TrainSettings& train = request_.recipe.train;
        train.epochs = 2;
        train.batchSize = 2;
        train.optimizer = "adamw";
        train.learningRate = 1e-3;
        train.schedule = "constant";
        train.saveEvery = 0;
        train.tensorboard = false;
        request_.cache = folder_;
    }
    void TearDown() override { fs::remove_all(folder_); }

    /// A bright disc (label 1) and a brighter square (label 2) that move from slice to slice.
    void writeSlice(int number) {
        std::vector<std::uint8_t> image(96 * 80 * 3, 20), labels(32 * 32, 0);
        const auto paint = [&](int x, int y, int label) {
            labels[static_cast<std::size_t>(y * 32 + x)] = static_cast<std::uint8_t>(label);
        };
        for (int y = 0; y < 32; ++y)
            for (int x = 0; x < 32; ++x) {
                const int dx = x - 10 - number, dy = y - 12;
                if (dx * dx + dy * dy < 25) paint(x, y, 1);
                if (x >= 18 && x < 26 && y >= 20 && y < 26) paint(x, y, 2);
            }
        for (int y = 0; y < 96; ++y)
            for (int x = 0; x < 80; ++x)
                for (int c = 0; c < 3; ++c) {
                    const int label = labels[static_cast<std::size_t>(y * 32 / 96 * 32 + x * 32 / 80)];
                    image[static_cast<std::size_t>((y * 80 + x) * 3 + c)] = static_cast<std::uint8_t>(20 + 90 * label);
                }
        const std::string name = "CT_CT_case-00" + std::to_string(number) + ".npy";
        writeNpy(folder_ / "npy" / "imgs" / name, NpyArray::of<std::uint8_t>({96, 80, 3}, image.data()));
        writeNpy(folder_ / "npy" / "gts" / name, NpyArray::of<std::uint8_t>({32, 32}, labels.data()));
    }

    TrainOutcome train(const std::string& name, int epochs, bool resume) {
        request_.output = folder_ / name;
        request_.resume = resume;
        request_.recipe.train.epochs = epochs;
        torch::manual_seed(7);
        Sam2Task task(request_);
        return Trainer(request_.recipe.train, task, request_.output).run(resume);
    }

    fs::path folder_;
    TrainRequest request_;
};

TEST_F(Sam2TaskTest, LearnsAndOpensAgain) {
    const TrainOutcome outcome = train("learn", 20, false);
    EXPECT_EQ(outcome.epochs, 20);
    EXPECT_GT(outcome.bestDice, 0.5) << "squares and discs in their boxes";
    const LoadedSam2 loaded = loadSam2(folder_ / "learn");
    EXPECT_EQ(loaded.network->settings().imageSize, 64);
    ASSERT_EQ(loaded.labels.size(), 2U);
    EXPECT_EQ(loaded.labels.labels()[1].name, "square");
    EXPECT_TRUE(isSam2File(folder_ / "learn"));
}

TEST_F(Sam2TaskTest, ResumesBitForBit) {
    train("straight", 3, false);
    train("resumed", 1, false);
    train("resumed", 3, true);
    const auto straight = namedState(*loadSam2(folder_ / "straight" / "latest.pth").network);
    const auto resumed = namedState(*loadSam2(folder_ / "resumed" / "latest.pth").network);
    ASSERT_EQ(straight.size(), resumed.size());
    for (std::size_t i = 0; i < straight.size(); ++i)
        EXPECT_TRUE(torch::equal(straight[i].second, resumed[i].second)) << straight[i].first;
}

/// Logits of the disc on slices 1 and 2, found from its box on slice 0 by the predictor of videos and as a clip.
std::array<torch::Tensor, 2> trackedTwice(const fs::path& file, const fs::path& cases) {
    const torch::NoGradGuard noGradient;
    const LoadedSam2 loaded = loadSam2(file);
    Sam2 network = loaded.network;
    network->eval();
    const PromptSliceFolder folder(cases);
    std::vector<torch::Tensor> slices;
    for (std::size_t slice = 0; slice < 3; ++slice) {
        GrayPicture picture = folder.readGray(slice);
        slices.push_back(imagesToInput(
            torch::from_blob(picture.pixels.data(), {1, picture.rows, picture.columns}, torch::kByte), 64));
    }
    const std::array<double, 4> box = folder.target(folder.readLabels(0), 1).box;
    const auto corners = torch::tensor({box[0], box[1], box[2], box[3]}).to(torch::kFloat);

    const std::int64_t low = network->settings().lowResolution();
    FrameSource frames{16, low, low, {}};  // sixteen: pointers are timed as in clips
    frames.features = [&](std::int64_t slice) {
        return network->encodeImages(slices.at(static_cast<std::size_t>(slice)));
    };
    Sam2VideoPredictor predictor(network, frames);
    FramePoints prompt;
    prompt.box.emplace();
    for (std::int64_t i = 0; i < 4; ++i)
        (*prompt.box)[static_cast<std::size_t>(i)] = corners[i].item<float>() * static_cast<float>(low) / 32;
    predictor.addPoints(0, 1, prompt);
    std::vector<torch::Tensor> video, clip;
    predictor.propagate([&](const FrameResult& result) { video.push_back(result.logits); }, false, 0, 2);
    for (const ClipAnswer& answer : trackClips(*network, torch::cat(slices).unsqueeze(0), corners.view({1, 4}) * 2))
        clip.push_back(answer.logits);
    return {torch::cat(video).slice(0, 1), torch::cat(clip).slice(0, 1)};
}

TEST_F(Sam2TaskTest, LearnsToTrackByMemory) {
    request_.recipe.sam2.train = {"image_encoder", "mask_decoder", "memory"};
    request_.recipe.sam2.clipSlices = 3;
    train("memory", 1, false);
    const auto early = namedState(*loadSam2(folder_ / "memory" / "latest.pth").network);
    train("memory", 12, true);
    const auto late = namedState(*loadSam2(folder_ / "memory" / "latest.pth").network);
    for (std::size_t i = 0; i < early.size(); ++i) {
        const std::string& name = early[i].first;
        if (name.rfind("sam_prompt_encoder.", 0) == 0) {
            EXPECT_TRUE(torch::equal(early[i].second, late[i].second)) << name;
        }
        if (name == "maskmem_tpos_enc" || name == "memory_encoder.out_proj.weight" ||
            name == "memory_attention.layers.0.cross_attn_image.v_proj.weight") {
            EXPECT_FALSE(torch::equal(early[i].second, late[i].second)) << name;
        }
    }
    // Memories are kept in bf16 and holes are filled there.
    const auto [video, clip] = trackedTwice(folder_ / "memory" / "latest.pth", folder_);
    ASSERT_EQ(video.sizes(), clip.sizes());
    EXPECT_LT((video - clip).abs().median().item<double>(), 0.02 * clip.abs().max().item<double>());
    const auto history = nlohmann::json::parse(readTextFile(folder_ / "memory" / "training_history.json"));
    const std::string text = history.dump();
    const auto& losses = history.at("train_loss");
    EXPECT_LT(losses.back().get<double>(), 0.7 * losses.front().get<double>()) << text;
}

TEST_F(Sam2TaskTest, MemoryNeedsClips) {
    request_.recipe.sam2.train = {"memory"};
    EXPECT_THROW(train("single", 1, false), UsageError);
}

TEST_F(Sam2TaskTest, NamesACheckpointOfAnotherSize) {
    train("small", 1, false);
    request_.recipe.sam2.model = "efficienttam_ti_512x512";
    request_.recipe.sam2.checkpoint = (folder_ / "small" / "latest.pth").string();
    try {
        train("other", 1, false);
        FAIL() << "weights of another network were accepted";
    } catch (const std::exception& error) {
        EXPECT_NE(std::string(error.what()).find("does not fit efficienttam_ti_512x512"), std::string::npos)
            << error.what();
    }
}

}  // namespace
}  // namespace medseg
