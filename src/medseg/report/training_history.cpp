#include "medseg/report/training_history.h"

#include <cmath>
#include <functional>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

using Json = nlohmann::ordered_json;

struct Column {
    const char* key;
    double EpochRecord::*value;
};
constexpr Column kColumns[] = {
    {"train_loss", &EpochRecord::trainLoss},    {"val_loss", &EpochRecord::validationLoss},
    {"val_dice", &EpochRecord::validationDice}, {"learning_rate", &EpochRecord::learningRate},
    {"epoch_seconds", &EpochRecord::seconds},   {"idle_share", &EpochRecord::idleShare},
};

double numberOrNan(const Json& value, const std::string& file, const char* key) {
    if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (!value.is_number())
        throw DataError(file, fmt::format("\"{}\" holds {}: it must be a list of numbers", key, value.dump()));
    return value.get<double>();
}

/// The list stored as `key`, or null if absent.
const Json* findList(const Json& document, const char* key, std::size_t length, const std::string& file) {
    auto found = document.find(key);
    if (found == document.end() && std::string_view(key) == "learning_rate") found = document.find("lr");
    if (found == document.end() || (found->is_array() && found->empty() && length > 0)) return nullptr;
    if (!found->is_array()) throw DataError(file, fmt::format("\"{}\" must be a list of numbers", key));
    if (found->size() != length)
        throw DataError(file, fmt::format("\"{}\" has {} entries and \"train_loss\" {}: they must agree", key,
                                          found->size(), length));
    return &*found;
}

}  // namespace

std::optional<EpochRecord> TrainingHistory::best() const {
    std::optional<EpochRecord> byDice, byLoss;
    for (const EpochRecord& record : epochs) {
        if (!std::isnan(record.validationDice) && (!byDice || record.validationDice > byDice->validationDice))
            byDice = record;
        if (!std::isnan(record.validationLoss) && (!byLoss || record.validationLoss < byLoss->validationLoss))
            byLoss = record;
    }
    return byDice ? byDice : byLoss;
}

TrainingHistory readTrainingHistory(const std::filesystem::path& path) {
    const std::string file = path.string();
    Json document;
    try {
        document = Json::parse(readTextFile(path));
    } catch (const Json::exception& error) {
        throw DataError(file, fmt::format("is not valid JSON: {}", error.what()));
    }
    if (!document.is_object() || !document.contains("train_loss") || !document["train_loss"].is_array())
        throw DataError(file, "is not a training history: a list \"train_loss\" is missing");
    const std::size_t count = document["train_loss"].size();
    TrainingHistory history;
    history.epochs.resize(count);
    const Json* numbers = findList(document, "epochs", count, file);
    for (std::size_t i = 0; i < count; ++i)
        history.epochs[i].epoch = numbers != nullptr && (*numbers)[i].is_number_integer() ? (*numbers)[i].get<int>()
                                                                                          : static_cast<int>(i) + 1;
    for (const Column& column : kColumns)
        if (const Json* list = findList(document, column.key, count, file))
            for (std::size_t i = 0; i < count; ++i)
                history.epochs[i].*column.value = numberOrNan((*list)[i], file, column.key);
    return history;
}

void writeTrainingHistory(const std::filesystem::path& path, const TrainingHistory& history) {
    Json document;
    Json& numbers = document["epochs"] = Json::array();
    for (const EpochRecord& record : history.epochs) numbers.push_back(record.epoch);
    for (const Column& column : kColumns) {
        Json& list = document[column.key] = Json::array();
        for (const EpochRecord& record : history.epochs) {
            const double value = record.*column.value;
            list.push_back(std::isfinite(value) ? Json(value) : Json());
        }
    }
    writeTextFile(path, document.dump() + "\n");
}

}  // namespace medseg
