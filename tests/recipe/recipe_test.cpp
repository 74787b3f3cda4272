#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/recipe/recipe.h"

namespace medseg {
namespace {

using testing::HasSubstr;

class RecipeFile : public testing::Test {
  protected:
    RecipeFile() : path_(fs::temp_directory_path() / ("recipe_test_" + std::to_string(::getpid()) + ".yaml")) {}
    ~RecipeFile() override { fs::remove(path_); }
    Recipe load(const std::string& text, const std::vector<std::string>& overrides = {}) {
        writeTextFile(path_, text);
        return loadRecipe(path_, overrides);
    }
    std::string errorOf(const std::string& text, const std::vector<std::string>& overrides = {}) {
        try {
            load(text, overrides);
        } catch (const UsageError& error) {
            return error.what();
        }
        return "no error";
    }
    fs::path path_;
};

TEST_F(RecipeFile, ValuesOverridesAndDefaults) {
    const Recipe recipe = load("name: x\ntrain:\n  epochs: 7\nprepare:\n  window: [-160, 240]\n",
                               {"train.learning_rate=0.01", "training.epochs=9", "prepare.image_size=128"});
    EXPECT_EQ(recipe.name, "x");
    EXPECT_EQ(recipe.train.epochs, 9);
    EXPECT_DOUBLE_EQ(recipe.train.learningRate, 0.01);
    EXPECT_EQ(recipe.prepare.window, (std::array<double, 2>{-160, 240}));
    EXPECT_EQ(recipe.prepare.imageSize, (std::array<int, 2>{128, 128}));
    EXPECT_EQ(recipe.train.batchSize, 8);
}

TEST_F(RecipeFile, UnknownKeyNamesFileLineAndNearestKey) {
    const std::string message = errorOf("train:\n  epochs: 3\n  batchsize: 4\n");
    EXPECT_THAT(message, HasSubstr(path_.string() + ":3"));
    EXPECT_THAT(message, HasSubstr("\"batchsize\" in section train"));
    EXPECT_THAT(message, HasSubstr("did you mean \"batch_size\""));
    EXPECT_THAT(errorOf("trian:\n  epochs: 3\n"), HasSubstr("did you mean \"train\""));
    EXPECT_THAT(errorOf("", {"data.epochs=3"}), HasSubstr("did you mean \"train.epochs\""));
}

TEST_F(RecipeFile, WrongTypesAndRangesAreRefused) {
    EXPECT_THAT(errorOf("train:\n  epochs: many\n"),
                HasSubstr(":2: train.epochs: expected a whole number, found \"many\""));
    EXPECT_THAT(errorOf("train:\n  epochs: 0\n"), HasSubstr("train.epochs: 0 is outside 1..1e+06"));
    EXPECT_THAT(errorOf("train:\n  loss: hinge\n"), HasSubstr("\"hinge\" is none of: bce, ce"));
    EXPECT_THAT(errorOf("prepare:\n  window: [1, 2, 3]\n"), HasSubstr("expected 2 values, found 3"));
    EXPECT_THAT(errorOf("train: [1\n"), HasSubstr("not valid YAML"));
    EXPECT_THAT(errorOf("", {"nonsense"}), HasSubstr("key=value"));
    EXPECT_THROW(loadRecipe("/nonexistent/recipe.yaml"), UsageError);
}

TEST_F(RecipeFile, InterpolatesEnvironmentAndOtherKeys) {
    ::setenv("MEDSEG_TEST_FOLDER", "/data", 1);
    const Recipe recipe =
        load("name: run7\noutput: ${data.root}/${name}-${train.epochs}\ndata:\n  root: ${env:MEDSEG_TEST_FOLDER}/ct\n");
    EXPECT_EQ(recipe.data.root, "/data/ct");
    EXPECT_EQ(recipe.output, "/data/ct/run7-5");
    EXPECT_THAT(errorOf("output: ${env:MEDSEG_TEST_UNSET}\n"), HasSubstr("MEDSEG_TEST_UNSET is not set"));
    EXPECT_THAT(errorOf("output: ${nothing.here}\n"), HasSubstr("names no value"));
    EXPECT_THAT(errorOf("output: ${name}\nname: ${output}\n"), HasSubstr("refers to itself"));
}

TEST_F(RecipeFile, ResolvedRecipeReadsBackTheSame) {
    const Recipe recipe = load(
        "seed: 18446744073709551615\ndata:\n  structures: [liver, spleen]\ntrain:\n  learning_rate: 0.000123456789\n");
    const std::string yaml = recipeToYaml(recipe);
    EXPECT_EQ(recipeToYaml(load(yaml)), yaml);
    EXPECT_EQ(load(yaml).data.structures, (std::vector<std::string>{"liver", "spleen"}));
    EXPECT_EQ(load(yaml).seed, 18446744073709551615ULL);
    EXPECT_EQ(load(yaml).train.learningRate, 0.000123456789);
}

}  // namespace
}  // namespace medseg
