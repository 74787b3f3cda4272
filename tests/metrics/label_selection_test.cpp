#include "medseg/metrics/label_selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

LabelTable tableFrom(const std::string& text) {
    const TemporaryFolder folder;
    writeTextFile(folder.path() / "labels", text);
    return readLabelTable(folder.path() / "labels");
}

TEST(LabelTableFile, AllForms) {
    for (const char* text :
         {R"({"background": 0, "liver": 1, "spleen": 2})", R"({"0": "background", "1": "liver", "2": "spleen"})",
          R"(["liver", "spleen"])",
          R"({"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2}})",
          R"({"liver": 0, "spleen": 1})", "liver\nspleen\n", "# names\n1 liver\n2 spleen\n", "1,liver\n2,spleen\n"}) {
        const LabelTable table = tableFrom(text);
        EXPECT_EQ(table.size(), 2U) << text;
        EXPECT_EQ(table.nameOf(1), "liver") << text;
        EXPECT_EQ(table.nameOf(2), "spleen") << text;
    }
}

TEST(LabelTableFile, Damaged) {
    for (const char* text : {"{", "{}", "", R"({"liver": 1, "spleen": 1})", R"({"liver": 70000})", R"([1, 2])",
                             R"({"liver": "one"})", R"({"liver": -1})"})
        EXPECT_THROW(tableFrom(text), DataError) << text;
    EXPECT_THROW(readLabelTable("/no/such/file"), DataError);
}

TEST(SelectLabels, ByNameAndId) {
    const LabelTable table = LabelTable::fromNames({"liver", "spleen", "kidney_left"});
    const LabelTable selected = selectLabels({"kidney_left", "1", "liver"}, table);
    EXPECT_EQ(selected.size(), 2U);
    EXPECT_NE(selected.findId(3), nullptr);
    EXPECT_NE(selected.findId(1), nullptr);
    EXPECT_EQ(selectLabels({"7"}, {}).labels().front().id, 7);
}

TEST(SelectLabels, UnknownNamesTheNearest) {
    const LabelTable table = LabelTable::fromNames({"liver", "spleen"});
    try {
        selectLabels({"livr"}, table);
        FAIL();
    } catch (const UsageError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("nearest is \"liver\""));
    }
    EXPECT_THROW(selectLabels({"liver"}, {}), UsageError);
}

}  // namespace
}  // namespace medseg
