#include "medseg/metrics/case_pairing.h"

#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

class CasePairs : public ::testing::Test {
  protected:
    /// Only names matter here.
    void touch(const std::string& name) const {
        createDirectories((folder_.path() / name).parent_path());
        writeTextFile(folder_.path() / name, "x");
    }
    std::vector<std::string> names(const std::string& root, CaseLayout layout = CaseLayout::Auto) const {
        std::vector<std::string> names;
        for (const CaseSource& source : findCases(folder_.path() / root, layout))
            names.push_back(source.name + (source.isStructureFolder ? "/" : ""));
        return names;
    }

    TemporaryFolder folder_;
};

TEST_F(CasePairs, FlatFolder) {
    touch("labels/b.nii.gz");
    touch("labels/a_0000.nii.gz");
    touch("labels/c.nii.gz");
    touch("labels/c_0000.nii.gz");
    touch("labels/notes.txt");
    touch("labels/preview.png");
    touch("labels/d.hdr");
    touch("labels/d.img");
    touch("labels/.hidden.nii.gz");
    EXPECT_EQ(names("labels"), (std::vector<std::string>{"a", "b", "c", "d"}));
    touch("slices/x.png");
    EXPECT_EQ(names("slices"), std::vector<std::string>{"x"});
}

TEST_F(CasePairs, CaseFolders) {
    touch("data/s0000/ct.nii.gz");
    touch("data/s0000/segmentations/liver.nii.gz");
    touch("data/s0001/segmentation.nii.gz");
    touch("data/s0002/liver.nii.gz");
    touch("data/s0002/spleen.nii.gz");
    touch("data/s0003/ct.nii.gz");
    EXPECT_EQ(names("data"), (std::vector<std::string>{"s0000/", "s0001", "s0002/"}));
    EXPECT_EQ(names("data/s0000"), (std::vector<std::string>{"s0000/"}));
    EXPECT_EQ(names("data/s0000/segmentations"), (std::vector<std::string>{"s0000/"}));
}

TEST_F(CasePairs, LayoutDecides) {
    touch("masks/lesion_1.nii.gz");
    touch("masks/lesion_2.nii.gz");
    EXPECT_EQ(names("masks").size(), 2U);
    EXPECT_EQ(names("masks", CaseLayout::Structures), (std::vector<std::string>{"masks/"}));
    touch("organs/liver.nii.gz");
    touch("organs/spleen.nii.gz");
    EXPECT_EQ(names("organs"), (std::vector<std::string>{"organs/"}));
    EXPECT_EQ(names("organs", CaseLayout::Cases).size(), 2U);
}

TEST_F(CasePairs, PairsByNameAndReportsTheRest) {
    touch("ref/a.nii.gz");
    touch("ref/b.nii.gz");
    touch("pred/b_0000.nii.gz");
    touch("pred/c.nii.gz");
    const CasePairing pairing = pairCases(folder_.path() / "ref", folder_.path() / "pred");
    ASSERT_EQ(pairing.pairs.size(), 1U);
    EXPECT_EQ(pairing.pairs[0].name(), "b");
    EXPECT_EQ(pairing.missingPredictions.at(0).name, "a");
    EXPECT_EQ(pairing.predictionsWithoutReference.at(0).name, "c");
}

TEST_F(CasePairs, FileBesideFolder) {
    touch("ref/a.nii.gz");
    touch("pred/a.nii.gz");
    touch("pred/b.nii.gz");
    const CasePairing byStem = pairCases(folder_.path() / "ref/a.nii.gz", folder_.path() / "pred");
    ASSERT_EQ(byStem.pairs.size(), 1U);
    EXPECT_EQ(byStem.pairs[0].prediction.path.filename(), "a.nii.gz");
    touch("masks/liver.nii.gz");
    const CasePairing asMasks = pairCases(folder_.path() / "ref/a.nii.gz", folder_.path() / "masks");
    ASSERT_EQ(asMasks.pairs.size(), 1U);
    EXPECT_TRUE(asMasks.pairs[0].prediction.isStructureFolder);
    const CasePairing twoFiles = pairCases(folder_.path() / "ref/a.nii.gz", folder_.path() / "pred/b.nii.gz");
    EXPECT_EQ(twoFiles.pairs.size(), 1U);
}

TEST_F(CasePairs, NothingToFind) {
    EXPECT_THROW(findCases(folder_.path() / "missing"), DataError);
    createDirectories(folder_.path() / "empty");
    EXPECT_THROW(findCases(folder_.path() / "empty"), DataError);
    touch("twice/a.nii.gz");
    touch("twice/a_0000.nii");
    touch("twice/a.nii");
    EXPECT_THROW(findCases(folder_.path() / "twice"), DataError);
}

}  // namespace
}  // namespace medseg
