#include "medseg/dataset/case_pipeline.h"

#include <atomic>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

/// Copies the case's text `repeat` times into NAME.txt; refuses texts that start with "bad".
class Copying {
  public:
    explicit Copying(int repeat = 1) {
        form_.name = "copy";
        form_.parameters["repeat"] = repeat;
        form_.memory = [](const PipelineCase&) { return 1000; };
        form_.process = [this, repeat](const PipelineCase& item, const fs::path& folder) {
            ++runs;
            const std::string text = readTextFile(item.inputs.front());
            for (int i = 0; i < repeat; ++i) {
                createDirectories(folder / "out");
                writeTextFile(folder / "out" / fmt::format("{}{}", item.id, i), text);
            }
            if (text.starts_with("bad")) throw DataError(item.inputs.front().string(), "is bad");
            if (text.starts_with("full")) throw WorkError("disk is full");
            CaseSummary summary;
            summary.values["length"] = text.size();
            summary.preview = {2, 1, {1, 2, 3, 4}, {0, 1, 0, 1}};
            return summary;
        };
    }
    const CaseForm& form() const { return form_; }
    std::atomic<int> runs{0};

  private:
    CaseForm form_;
};

class CasePipelineTest : public ::testing::Test {
  protected:
    void give(const std::string& id, const std::string& text) {
        writeTextFile(folder_.path() / (id + ".in"), text);
        for (const PipelineCase& item : cases_)
            if (item.id == id) return;
        cases_.push_back({id, {folder_.path() / (id + ".in")}});
    }
    CasePipelineResult run(const Copying& copying) { return runCasePipeline(copying.form(), cases_, output()); }
    fs::path output() const { return folder_.path() / "output"; }
    bool written(const std::string& name) const { return fs::exists(output() / "out" / name); }

    TemporaryFolder folder_;
    std::vector<PipelineCase> cases_;
};

TEST_F(CasePipelineTest, WritesFilesRecordsAndManifestInTheOrderGiven) {
    for (int i = 0; i < 20; ++i) give(fmt::format("c{}", i), std::string(static_cast<std::size_t>(i), 'x'));
    const CasePipelineResult result = run(Copying());
    EXPECT_EQ(result.prepared, 20);
    EXPECT_EQ(result.records.size(), 20u);
    for (std::size_t i = 0; i < 20; ++i) {
        EXPECT_EQ(result.records[i].values["length"], i);
        EXPECT_EQ(result.records[i].files[0]["path"], fmt::format("out/c{}0", i));
        EXPECT_TRUE(written(fmt::format("c{}0", i)));
    }
    const auto manifest = nlohmann::json::parse(readTextFile(output() / "manifest.json"));
    EXPECT_EQ(manifest["form"], "copy");
    EXPECT_EQ(manifest["cases"].size(), 20u);
    EXPECT_EQ(manifest["cases"][3]["inputs"][0]["bytes"], 3);
    const CasePreview preview = readCasePreview(output(), "c4");
    EXPECT_EQ(preview.tiles(), 2);
    EXPECT_EQ(preview.gray, (std::vector<std::uint8_t>{1, 2, 3, 4}));
    EXPECT_EQ(preview.labels, (std::vector<std::uint8_t>{0, 1, 0, 1}));
}

TEST_F(CasePipelineTest, RepeatsOnlyWhatChanged) {
    give("a", "one");
    give("b", "two");
    run(Copying());
    Copying again;
    EXPECT_EQ(run(again).reused, 2);
    EXPECT_EQ(again.runs, 0);
    give("b", "changed");
    EXPECT_EQ(run(again).reused, 1);
    EXPECT_EQ(readTextFile(output() / "out/b0"), "changed");
    fs::remove(output() / "out/a0");
    EXPECT_EQ(run(again).prepared, 1);
    EXPECT_TRUE(written("a0"));
    // The same content with another time is the same.
    give("a", "one");
    EXPECT_EQ(run(again).reused, 2);
}

TEST_F(CasePipelineTest, OtherParametersReplaceOldFiles) {
    give("a", "one");
    run(Copying(3));
    EXPECT_TRUE(written("a2"));
    EXPECT_EQ(run(Copying(2)).prepared, 1);
    EXPECT_TRUE(written("a1"));
    EXPECT_FALSE(written("a2"));
}

TEST_F(CasePipelineTest, DamagedCaseLeavesNothingAndDoesNotStopTheOthers) {
    give("a", "one");
    give("b", "two");
    run(Copying());
    give("b", "bad");
    give("c", "three");
    const CasePipelineResult result = run(Copying());
    ASSERT_EQ(result.failures.size(), 1u);
    EXPECT_EQ(result.failures[0].id, "b");
    EXPECT_NE(result.failures[0].message.find("is bad"), std::string::npos);
    EXPECT_EQ(result.records.size(), 2u);
    EXPECT_FALSE(written("b0"));
    EXPECT_TRUE(written("c0"));
    const auto manifest = nlohmann::json::parse(readTextFile(output() / "manifest.json"));
    EXPECT_EQ(manifest["failures"][0]["id"], "b");
}

TEST_F(CasePipelineTest, FailedWorkKeepsFinishedCasesAndLeavesNoPartOfItsOwn) {
    give("a", "one");
    run(Copying());
    give("b", "full");
    EXPECT_THROW(run(Copying()), WorkError);
    EXPECT_TRUE(written("a0"));
    EXPECT_FALSE(written("b0"));
    EXPECT_FALSE(fs::exists(output() / ".b.unfinished"));
    give("b", "room");
    EXPECT_EQ(run(Copying()).reused, 1);
    EXPECT_TRUE(written("b0"));
}

TEST_F(CasePipelineTest, SweepsWhatAKilledRunLeft) {
    give("a", "one");
    createDirectories(output() / ".b.unfinished" / "out");
    writeTextFile(output() / ".b.unfinished" / "out" / "b0", "half");
    createDirectories(output() / "cases");
    writeTextFile(output() / "cases" / ".a.json.17-3.tmp", "half");
    writeTextFile(output() / "cases" / "a.json", "{ damaged");
    EXPECT_EQ(run(Copying()).prepared, 1);
    EXPECT_FALSE(fs::exists(output() / ".b.unfinished"));
    EXPECT_FALSE(fs::exists(output() / "cases" / ".a.json.17-3.tmp"));
}

TEST_F(CasePipelineTest, RefusesUnusableNames) {
    give("a", "one");
    cases_.push_back(cases_.front());
    EXPECT_THROW(run(Copying()), UsageError);
    cases_.back().id = "../a";
    EXPECT_THROW(run(Copying()), UsageError);
}

}  // namespace
}  // namespace medseg
