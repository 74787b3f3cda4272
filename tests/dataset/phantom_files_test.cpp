#include "medseg/dataset/phantom_files.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "dataset/small_cases.h"
#include "medseg/base/error.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/dataset/class_list.h"

namespace medseg {
namespace {

PhantomSettings smallPhantom() {
    PhantomSettings settings;
    settings.size = {48, 40, 24};
    settings.cases = 2;
    settings.structures = {"heart", "liver", "rib_left_7"};
    return settings;
}

/// Voxels where `labels`, read through the dataset, do not name the structure that the phantom drew.
std::int64_t differences(const PhantomCase& drawn, const LabelMap& labels) {
    std::int64_t count = 0;
    const Geometry& geometry = drawn.image.geometry();
    for (std::int64_t z = 0; z < geometry.nz(); ++z)
        for (std::int64_t y = 0; y < geometry.ny(); ++y)
            for (std::int64_t x = 0; x < geometry.nx(); ++x) {
                const int a = drawn.labels.at(x, y, z), b = labels.at(x, y, z);
                const std::string nameA = a == 0 ? "" : drawn.labels.table().nameOf(a);
                count += nameA != (b == 0 ? "" : labels.table().nameOf(b));
            }
    return count;
}

TEST(PhantomFiles, ReadBackAsTheyWereDrawnInBothLayouts) {
    const TemporaryFolder folder;
    const PhantomSettings settings = smallPhantom();
    for (const PhantomLayout layout : {PhantomLayout::TotalSegmentator, PhantomLayout::NnUNet}) {
        const fs::path root = folder.path() / (layout == PhantomLayout::NnUNet ? "pairs" : "folders");
        EXPECT_EQ(writePhantom(settings, layout, root).size(), 2u);
        const Dataset dataset = discoverDataset(dataIn(root));
        ASSERT_EQ(dataset.cases.size(), 2u);
        for (int index = 0; index < 2; ++index) {
            const PhantomCase drawn = makePhantomCase(settings, index);
            const Case& item = dataset.cases[static_cast<std::size_t>(index)];
            EXPECT_EQ(item.id, drawn.id);
            const StoredImage image = readCaseImage(item);
            const auto* voxels = std::get_if<Volume<std::int16_t>>(&image.voxels);
            ASSERT_NE(voxels, nullptr);
            EXPECT_TRUE(std::ranges::equal(voxels->voxels(), drawn.image.voxels()));
            EXPECT_TRUE(voxels->geometry().matches(drawn.image.geometry()));
            const LabelLayers labels = readCaseLabels(dataset, item, voxels->geometry());
            ASSERT_EQ(labels.layers.size(), 1u);
            EXPECT_EQ(differences(drawn, labels.layers[0]), 0);
        }
    }
}

TEST(PhantomFiles, LeaveForeignCasesAlone) {
    const TemporaryFolder folder;
    writeTextFile(folder.path() / "notes.txt", "x");
    writePhantom(smallPhantom(), PhantomLayout::TotalSegmentator, folder.path());
    writePhantom(smallPhantom(), PhantomLayout::TotalSegmentator, folder.path());
    fs::remove(folder.path() / "phantom.json");
    EXPECT_THROW(writePhantom(smallPhantom(), PhantomLayout::TotalSegmentator, folder.path()), WorkError);
}

TEST(PhantomFiles, KnowTheirLayouts) {
    EXPECT_EQ(phantomLayoutFromName("nnunet"), PhantomLayout::NnUNet);
    EXPECT_THROW(phantomLayoutFromName("dicom"), UsageError);
}

}  // namespace
}  // namespace medseg
