// A recipe: one YAML file that says what a pipeline does from raw volumes to report.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/recipe/prepare_forms.h"
#include "medseg/recipe/sam2_settings.h"
#include "medseg/recipe/sam_settings.h"
#include "medseg/recipe/sam3d_settings.h"
#include "medseg/recipe/settings.h"

namespace medseg {

struct Recipe {
    std::string name = "medseg";
    std::string output = "out";
    std::uint64_t seed = 1;
    std::string device = "cpu";
    PhantomSectionSettings phantom;
    DataSettings data;
    PrepareSettings prepare;
    PrepareMedsamSettings prepareMedsam;
    PrepareSam3dSettings prepareSam3d;
    PrepareNnunetSettings prepareNnunet;
    ModelSettings model;
    SamSettings sam;
    Sam2RecipeSettings sam2;
    PropagateSettings propagate;
    TrainSettings train;
    AugmentationSettings augmentation;
    PredictSettings predict;
    Sam3dRecipeSettings sam3d;
    SamplingRecipeSettings sampling;
    LoraRecipeSettings lora;
    ReconstructionLossSettings loss;
    EvaluateSettings evaluate;
    ReportSettings report;
};

/// One settable key, for listings.
struct RecipeKey {
    std::string path;          ///< "train.epochs"
    std::string defaultValue;  ///< as YAML
    std::string description;
};

/// Reads a recipe file (empty path: all defaults), applies `overrides` ("train.epochs=50", later ones win), resolves
/// ${env:NAME} and ${section.key}, and checks every key, type and range. Strict: an unknown key is an error that names
/// file, line and the nearest known key. Throws UsageError.
Recipe loadRecipe(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// A recipe from text, e.g. the resolved one inside a model; `source` names it in messages. Throws UsageError.
Recipe recipeFromYaml(const std::string& yaml, const std::string& source,
                      const std::vector<std::string>& overrides = {});

/// The recipe with every key, commented, as YAML that loadRecipe reads back to the same values.
std::string recipeToYaml(const Recipe& recipe);

/// One section of recipeToYaml ("prepare"), for fingerprints of what a stage depends on.
std::string recipeSectionToYaml(const Recipe& recipe, const std::string& section);

/// Every key with its default and meaning, in file order.
std::vector<RecipeKey> recipeKeys();

/// Of `candidates` the one with the smallest edit distance to `word`; empty when nothing is near.
std::string nearestWord(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace medseg
