#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <xxhash.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/logging.h"
#include "medseg/base/version.h"
#include "medseg/metrics/evaluation_files.h"

namespace medseg {
namespace {

using Json = nlohmann::json;

/// JSON has neither NaN nor infinity, and a shard must give back the very same numbers.
Json encode(double value) {
    return std::isfinite(value) ? Json(value) : Json(fmt::format("{}", value));
}

double decode(const Json& json) {
    if (json.is_number()) return json.get<double>();
    const std::string text = json.get<std::string>();
    const double infinity = std::numeric_limits<double>::infinity();
    return text == "inf" ? infinity : text == "-inf" ? -infinity : std::numeric_limits<double>::quiet_NaN();
}

Json encodeCase(const CaseEvaluation& one) {
    Json structures = Json::array();
    for (const StructureMeasure& row : one.structures) {
        Json values = Json::array();
        for (const double value : row.values) values.push_back(encode(value));
        structures.push_back({row.label, row.structure, row.counts.reference, row.counts.prediction,
                              row.counts.intersection, row.counts.total, encode(row.iou), std::move(values)});
    }
    return {{"name", one.name},
            {"reference", one.reference.string()},
            {"prediction", one.prediction.string()},
            {"structures", std::move(structures)}};
}

CaseEvaluation decodeCase(const Json& json) {
    CaseEvaluation one{
        json.at("name"), json.at("reference").get<std::string>(), json.at("prediction").get<std::string>(), {}};
    for (const Json& row : json.at("structures")) {
        StructureMeasure measure{
            row.at(0), row.at(1), {row.at(2), row.at(3), row.at(4), row.at(5)}, decode(row.at(6)), {}};
        for (const Json& value : row.at(7)) measure.values.push_back(decode(value));
        one.structures.push_back(std::move(measure));
    }
    return one;
}

/// Everything that a result depends on: settings, inputs, their sizes and times.
std::string fingerprintOf(const EvaluationRequest& request, const std::vector<CasePair>& jobs) {
    std::string text =
        fmt::format("{}\n{}\n{}\n{} {} {} {}\n", version(), request.reference.string(), request.labelTable.string(),
                    static_cast<int>(request.bothEmpty), static_cast<int>(request.surfaceDefinition),
                    request.nsdTolerance, request.lesionIou);
    for (const std::string& metric : request.metrics) text += metric + "\n";
    for (const std::string& label : request.labels) text += label + "\n";
    for (const CasePair& job : jobs)
        for (const CaseSource* source : {&job.reference, &job.prediction}) {
            text += source->name + " " + source->path.string();
            std::error_code error;
            const auto time = fs::last_write_time(source->path, error);
            if (!error) text += fmt::format(" {}", time.time_since_epoch().count());
            const auto size = fs::file_size(source->path, error);
            if (!error) text += fmt::format(" {}", size);
            text += "\n";
        }
    return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace

bool endsWithNpz(const fs::path& path) {
    return endsWithIgnoringCase(path.string(), ".npz");
}

ShardFiles::ShardFiles(const EvaluationRequest& request, const std::string& set, const std::vector<CasePair>& jobs)
    : folder_(request.output / "shards" / set),
      fingerprint_(fingerprintOf(request, jobs)),
      rank_(request.rank),
      worldSize_(request.worldSize) {}

fs::path ShardFiles::pathOf(int rank) const {
    return folder_ / fmt::format("rank_{}_of_{}.json", rank, worldSize_);
}

void ShardFiles::write(const std::vector<CaseEvaluation>& cases) const {
    createDirectories(folder_);
    Json json{{"fingerprint", fingerprint_}, {"cases", Json::array()}};
    for (const CaseEvaluation& one : cases) json["cases"].push_back(encodeCase(one));
    writeTextFile(pathOf(rank_), json.dump());
}

std::optional<std::vector<CaseEvaluation>> ShardFiles::mergeIfComplete() const {
    std::vector<CaseEvaluation> all;
    for (int rank = 0; rank < worldSize_; ++rank) {
        const fs::path path = pathOf(rank);
        if (!fs::exists(path)) return std::nullopt;
        try {
            const Json json = Json::parse(readTextFile(path, std::size_t{1} << 32));
            // Left over from an earlier run: the rank has not finished yet.
            if (json.at("fingerprint") != fingerprint_) return std::nullopt;
            for (const Json& one : json.at("cases")) all.push_back(decodeCase(one));
        } catch (const Json::exception&) {
            throw DataError(path.string(), "damaged shard: remove it and run this rank again");
        }
    }
    std::sort(all.begin(), all.end(), [](const CaseEvaluation& a, const CaseEvaluation& b) { return a.name < b.name; });
    return all;
}

}  // namespace medseg
