// Options of `medseg prepare` that stand for recipe keys.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace medseg::cli {

/// How the text of an option becomes the value of a recipe key.
enum class KeyValue {
    Plain,    ///< a number or a word of a list
    Text,     ///< any text, quoted
    List,     ///< numbers with commas
    TextList  ///< texts with commas
};

/// Collects "key=value" for every option that is given.
class KeyOptions {
  public:
    KeyOptions(CLI::App& app, std::vector<std::string>& overrides) : app_(app), overrides_(overrides) {}

    void group(const std::string& name) { group_ = name; }
    void add(const std::string& option, const std::string& key, KeyValue kind, const std::string& meaning,
             const std::string& type);
    /// An option without a value that sets `key` to true.
    void addFlag(const std::string& option, const std::string& key, const std::string& meaning);

  private:
    CLI::App& app_;
    std::vector<std::string>& overrides_;
    std::string group_;
};

/// "key=value" as loadRecipe() takes it; `kind` says how `text` is meant.
std::string keyOverride(const std::string& key, const std::string& text, KeyValue kind);

/// Options of the forms medsam, medsam2, litemedsam, sam3d and nnunet.
void declareFormOptions(KeyOptions& options);

/// Prints the faults of the raw nnU-Net dataset `input`; throws DataError when there are any.
int runNnunetCheck(const std::string& input);
/// Writes dataset_fingerprint.json into `output`, or into the dataset itself when it is empty.
int runNnunetFingerprint(const std::string& input, const std::string& output);

}  // namespace medseg::cli
