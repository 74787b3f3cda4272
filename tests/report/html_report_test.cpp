#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/report/html.h"
#include "medseg/report/html_report.h"
#include "medseg/report/overlay_files.h"
#include "png_decoding.h"

namespace medseg {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

void writeText(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
}

TEST(Html, EscapesWhatCouldLeaveItsPlace) {
    EXPECT_EQ(html::escape("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
    EXPECT_EQ(html::scriptJson("</script><!--"), "\"\\u003c/script>\\u003c!--\"");
}

TEST(Csv, ReadsQuotedFieldsAndBothLineEnds) {
    EXPECT_THAT(parseCsv("a,b\r\n\"x, \"\"y\"\"\",2\n\n3,\n", "f"),
                ElementsAre(ElementsAre("a", "b"), ElementsAre("x, \"y\"", "2"), ElementsAre("3", "")));
    EXPECT_THROW(parseCsv("a,b\n1\n", "f"), DataError);
    EXPECT_THROW(parseCsv("a\n\"x", "f"), DataError);
    EXPECT_TRUE(parseCsv("", "f").empty());
}

TEST(RunReport, RanksCasesByTheirMeanAndPutsTheWorstOverlayFirst) {
    const TemporaryFolder folder;
    writeText(folder / "evaluation/per_case.csv",
              "case,label,structure,dice,hd95\ns0001,1,liver,0.9,2\ns0001,2,spleen,0.7,4\ns0002,1,liver,0.5,9\ns0002,2,"
              "spleen,nan,nan\n");
    for (const char* name : {"s0001.png", "s0002.png", "zz.png"})
        writePng(folder / (std::string("overlays/") + name), RgbImage(4, 4));
    const RunReport report = collectRunReport(folder.path());
    ASSERT_EQ(report.tables.size(), 2U);
    const ReportTable& cases = report.tables[0];
    EXPECT_EQ(cases.title, "Cases");
    EXPECT_EQ(cases.sortColumn, 1);
    ASSERT_EQ(cases.rows.size(), 2U);
    EXPECT_DOUBLE_EQ(std::stod(cases.rows[0][1]), 0.8);
    EXPECT_DOUBLE_EQ(std::stod(cases.rows[1][1]), 0.5);
    EXPECT_EQ(cases.rows[1].back(), "liver (0.500)");
    ASSERT_EQ(report.overlays.size(), 3U);
    EXPECT_EQ(report.overlays[0].title, "S0002");
    EXPECT_EQ(report.overlays[1].title, "S0001");
    EXPECT_TRUE(report.tables[1].columns[3].share);
    EXPECT_FALSE(report.tables[1].columns[4].share);
}

TEST(RunReport, RefusesAFolderWithoutAnything) {
    const TemporaryFolder folder;
    EXPECT_THROW(collectRunReport(folder.path()), DataError);
    EXPECT_THROW(collectRunReport(folder / "missing"), DataError);
}

TEST(RunReport, PageIsCompleteAndLoadsNothing) {
    RunReport report;
    report.title = "run <1>";
    report.date = "2026-01-01";
    report.facts = {{"mean Dice", "0.9"}};
    report.history = TrainingHistory{{{1, 0.5, 0.6, 0.4, 1e-3, 2, 0}}};
    report.tables = {{.title = "T",
                      .note = "",
                      .columns = {{"name"}, {"dice", true, true}},
                      .rows = {{"</script>", "0.5"}, {"x", "nan"}}}};
    report.overlays = {{"o", "c", encodePng(RgbImage(2, 2))}};
    report.recipe = "model:\n  name: <unet>\n";
    const std::string page = renderHtmlReport(report);
    EXPECT_THAT(page, HasSubstr("run &lt;1&gt;"));
    EXPECT_THAT(page, HasSubstr("2026-01-01"));
    EXPECT_THAT(page, HasSubstr("model:\n  name: &lt;unet&gt;\n"));
    EXPECT_THAT(page, HasSubstr(R"(["\u003c/script>",0.5])"));
    EXPECT_THAT(page, HasSubstr(R"(["x",null])"));
    EXPECT_THAT(page, HasSubstr("data:image/png;base64,iVBORw0KGgo"));
    EXPECT_THAT(page, Not(HasSubstr("http:")));
    EXPECT_THAT(page, Not(HasSubstr("https:")));
    EXPECT_TRUE(page.ends_with("</html>\n"));
}

TEST(OverlayFiles, PairsCasesByName) {
    EXPECT_EQ(caseNameOf("/data/FLARE22_Tr_0001_0000.nii.gz"), "FLARE22_Tr_0001");
    EXPECT_EQ(caseNameOf("/data/s0004/ct.nii.gz"), "s0004");
    EXPECT_EQ(caseNameOf("/data/s0004/segmentations"), "s0004");
    EXPECT_EQ(caseNameOf("liver.nii"), "liver");

    const TemporaryFolder folder;
    writeText(folder / "images/b_0000.nii.gz", "x");
    writeText(folder / "images/a_0000.nii.gz", "x");
    writeText(folder / "labels/a.nii.gz", "x");
    writeText(folder / "labels/b/segmentations/liver.nii.gz", "x");
    const auto cases = findOverlayFiles(folder / "images", folder / "labels", {});
    ASSERT_EQ(cases.size(), 2U);
    EXPECT_EQ(cases[0].name, "a");
    EXPECT_EQ(cases[0].reference, folder / "labels/a.nii.gz");
    EXPECT_EQ(cases[1].reference, folder / "labels/b/segmentations");
    EXPECT_TRUE(cases[1].prediction.empty());
    EXPECT_THROW(findOverlayFiles(folder / "images", {}, folder / "images/a_0000.nii.gz"), DataError);

    writeText(folder / "cases/s1/ct.nii.gz", "x");
    writeText(folder / "cases/s1/segmentations/liver.nii.gz", "x");
    const auto own = findOverlayFiles(folder / "cases/s1", folder / "cases/s1", {});
    EXPECT_EQ(own.at(0).name, "s1");
    EXPECT_EQ(own.at(0).reference, folder / "cases/s1/segmentations");
    EXPECT_THROW(findOverlayFiles(folder / "missing", {}, {}), DataError);
    EXPECT_THROW(findOverlayFiles(folder / "labels/b/segmentations", folder / "missing", {}), DataError);
}

TEST(OverlayFiles, KeepsOnlyWantedStructures) {
    LabelTable table;
    table.add({1, "liver", {}});
    table.add({2, "spleen", {}});
    Volume<std::uint8_t> voxels(Geometry::axisAligned({3, 1, 1}, {1, 1, 1}), 0);
    for (std::uint8_t i = 0; i < 3; ++i) voxels(i, 0, 0) = static_cast<std::uint8_t>(i + 1);
    const LabelMap labels(std::move(voxels), table);
    const LabelMap kept = keepStructures(labels, {"spleen", "3"}, "f");
    EXPECT_EQ(kept.at(0, 0, 0), 0);
    EXPECT_EQ(kept.at(1, 0, 0), 2);
    EXPECT_EQ(kept.at(2, 0, 0), 3);
    EXPECT_THROW(keepStructures(labels, {"kidney"}, "f"), UsageError);
}

}  // namespace
}  // namespace medseg
