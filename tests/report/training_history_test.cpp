#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/report/history_plot.h"
#include "png_decoding.h"

namespace medseg {
namespace {

void writeText(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path) << text;
}

TrainingHistory threeEpochs() {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {{{1, 0.7, 0.8, 0.1, 1e-3, 4.5, 0.02},
             {2, 1.0 / 3, nan, nan, 1e-3, 4.25, nan},
             {3, 0.25, 0.4, 0.6, 5e-4, 4, 0}}};
}

TEST(TrainingHistory, SurvivesWritingAndReading) {
    const TemporaryFolder folder;
    const TrainingHistory history = threeEpochs();
    writeTrainingHistory(folder / "training_history.json", history);
    const TrainingHistory back = readTrainingHistory(folder / "training_history.json");
    ASSERT_EQ(back.epochs.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(back.epochs[i].epoch, history.epochs[i].epoch);
        EXPECT_EQ(back.epochs[i].trainLoss, history.epochs[i].trainLoss);
        EXPECT_EQ(back.epochs[i].learningRate, history.epochs[i].learningRate);
        EXPECT_EQ(back.epochs[i].seconds, history.epochs[i].seconds);
        EXPECT_EQ(std::isnan(back.epochs[i].validationDice), std::isnan(history.epochs[i].validationDice));
    }
    EXPECT_EQ(back.epochs[2].validationDice, 0.6);
}

TEST(TrainingHistory, ReadsADictionaryOfListsFromElsewhere) {
    const TemporaryFolder folder;
    writeText(folder / "h.json",
              R"({"train_loss": [0.5, 0.4], "val_loss": [0.6, null], "lr": [0.001, 0.0005], "note": "x"})");
    const TrainingHistory history = readTrainingHistory(folder / "h.json");
    ASSERT_EQ(history.epochs.size(), 2U);
    EXPECT_EQ(history.epochs[1].epoch, 2);
    EXPECT_EQ(history.epochs[1].learningRate, 0.0005);
    EXPECT_TRUE(std::isnan(history.epochs[1].validationLoss));
    EXPECT_TRUE(std::isnan(history.epochs[0].validationDice));
}

TEST(TrainingHistory, BestIsHighestDiceThenLowestLoss) {
    EXPECT_EQ(threeEpochs().best()->epoch, 3);
    TrainingHistory byLoss = threeEpochs();
    for (EpochRecord& record : byLoss.epochs) record.validationDice = std::numeric_limits<double>::quiet_NaN();
    byLoss.epochs[0].validationLoss = 0.1;
    EXPECT_EQ(byLoss.best()->epoch, 1);
    EXPECT_FALSE(TrainingHistory{}.best().has_value());
}

TEST(TrainingHistory, BadFilesAreDataErrorsThatNameTheFile) {
    const TemporaryFolder folder;
    const auto path = folder / "h.json";
    EXPECT_THROW(readTrainingHistory(path), DataError);
    for (const std::string text :
         {"", "{", "[1]", "{}", R"({"train_loss": 3})", R"({"train_loss": ["a"]})",
          R"({"train_loss": [1, 2], "val_loss": [1]})", R"({"train_loss": [1], "val_dice": {}})"}) {
        writeText(path, text);
        try {
            readTrainingHistory(path);
            ADD_FAILURE() << text;
        } catch (const DataError& error) {
            EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
        }
    }
}

TEST(TrainingHistoryPlot, HasItsSizeForAnyNumberOfEpochs) {
    const TemporaryFolder folder;
    for (const std::size_t count : {0, 1, 3, 200}) {
        TrainingHistory history;
        for (std::size_t i = 0; i < count; ++i) {
            history.epochs.push_back(threeEpochs().epochs[i % 3]);
            history.epochs.back().epoch = static_cast<int>(i) + 1;
        }
        writeTrainingHistoryPlot(folder / "training_history.png", history);
        const RgbImage image = decodePngFile(folder / "training_history.png");
        EXPECT_EQ(image.width, 2000);
        EXPECT_EQ(image.height, 840);
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

}  // namespace
}  // namespace medseg
