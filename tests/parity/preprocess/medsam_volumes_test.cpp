// Whole cases: .npz files of the official preparation of MedSAM, MedSAM2 and LiteMedSAM.
#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "parity/preprocess/fixture.h"

namespace medseg::parity {
namespace {

using Json = nlohmann::json;

void expectSummary(const Json& item, const CaseRecord& record) {
    const auto size = item.at("input_shape_zyx").get<std::vector<std::int64_t>>();
    EXPECT_EQ(record.values["size"], (Json{size[2], size[1], size[0]}));
    EXPECT_EQ(Json(record.values["slices"]), item.at("kept_z").is_null() ? Json::array() : item.at("kept_z"));
    Json labels = Json::array();
    for (const auto& [label, voxels] : record.values["labels"].items()) labels.push_back(std::stoi(label));
    EXPECT_EQ(labels, item.at("labels_left").is_null() ? Json::array() : item.at("labels_left"));
}

void checkVolume(const Json& item) {
    const MedsamSettings settings = settingsOf(item);
    EXPECT_EQ(medsamPrefix(settings), item.at("prefix").get<std::string>());
    const std::vector<PipelineCase> cases =
        medsamCases({{item.at("case_name"), fixtureRoot() / item.at("image").get<std::string>(),
                      fixtureRoot() / item.at("label").get<std::string>()}},
                    settings);
    const TemporaryFolder folder;
    const CasePipelineResult result = runCasePipeline(medsamForm(settings), cases, folder.path());
    ASSERT_EQ(result.records.size(), 1u) << result.failures.front().message;
    const CaseRecord& record = result.records.front();
    expectSummary(item, record);
    if (!item.at("writes_output").get<bool>()) {
        EXPECT_TRUE(record.files.empty());
        EXPECT_NE(record.warning, "");
        return;
    }
    ASSERT_EQ(record.files.size(), 1u);
    const std::filesystem::path file = record.files[0]["path"].get<std::string>();
    EXPECT_EQ(file.filename().string(), item.at("output_name").get<std::string>());
    for (const Json& expected : item.at("expected").at("arrays")) {
        SCOPED_TRACE(expected.at("output_key").get<std::string>());
        EXPECT_EQ(file.filename().string(), expected.at("output_file").get<std::string>());
        expectArray(readArray(folder.path() / file, expected.at("output_key")), expected);
    }
}

TEST(PreprocessParity, VolumesOfEveryCase) {
    const auto cases = casesOf({"medsam", "medsam2", "litemedsam"});
    MEDSEG_REQUIRE_CASES(cases);
    for (const Json& item : cases) {
        SCOPED_TRACE(item.at("id").get<std::string>());
        checkVolume(item);
    }
}

}  // namespace
}  // namespace medseg::parity
