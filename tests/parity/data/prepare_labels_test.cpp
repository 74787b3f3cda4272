// Case folders against TotalSegmentator's own files: 117 masks merge into the multi-label file that it wrote beside
// them, and pairs on different grids are refused.
#include <algorithm>

#include <gmock/gmock.h>

#include "medseg/base/error.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/dataset/class_list.h"
#include "parity/data/fixture.h"

namespace medseg {
namespace {

using nlohmann::json;

TEST(PrepareParity, ClassListIsThatOfTotalSegmentator) {
    MEDSEG_REQUIRE_FIXTURE(folder, "data/totalsegmentator");
    const json total = readJson(folder / "class_maps.json").at("total");
    EXPECT_EQ(total.size(), totalSegmentatorClasses().size());
    for (const auto& [id, name] : total.items())
        EXPECT_EQ(totalSegmentatorId(name.get<std::string>()), std::stoi(id)) << name;
}

TEST(PrepareParity, MasksMergeIntoTheMultiLabelFile) {
    MEDSEG_REQUIRE_FIXTURE(folder, "data/totalsegmentator");
    Dataset dataset;
    dataset.root = folder;
    dataset.labels = totalSegmentatorLabels();
    dataset.cases = {{.id = "example",
                      .image = folder / "example_ct_sm.nii.gz",
                      .labelFile = {},
                      .maskFolder = folder / "example_seg_fast"}};
    const Geometry geometry = readImageHeader(dataset.cases[0].image).geometry;
    const LabelLayers labels = readCaseLabels(dataset, dataset.cases[0], geometry);
    ASSERT_EQ(labels.layers.size(), 1u);
    const LabelMap expected = readLabelMap(folder / "example_seg_fast.nii.gz");
    ASSERT_EQ(expected.geometry().size(), geometry.size());
    std::int64_t different = 0;
    for (std::int64_t z = 0; z < geometry.nz(); ++z)
        for (std::int64_t y = 0; y < geometry.ny(); ++y)
            for (std::int64_t x = 0; x < geometry.nx(); ++x)
                different += labels.layers[0].at(x, y, z) != expected.at(x, y, z);
    EXPECT_EQ(different, 0);
    const std::vector<std::int64_t> counts = labels.layers[0].countVoxels();
    const json stated = readJson(folder / "example_seg_fast_expected.json");
    for (const auto& [name, entry] : stated.items()) {
        const auto id = static_cast<std::size_t>(totalSegmentatorId(name));
        EXPECT_EQ(id < counts.size() ? counts[id] : 0, entry.at("voxels").get<std::int64_t>()) << name;
    }
}

TEST(PrepareParity, PairsOnDifferentGridsAreRefusedNamingBoth) {
    MEDSEG_REQUIRE_FIXTURE(folder, "data/bad");
    const json stated = readJson(folder / "expected.json");
    for (const json& entry : stated.at("cases")) {
        if (entry.at("category") != "pair_shape_mismatch") continue;
        Dataset dataset;
        dataset.layout = Layout::Pairs;
        dataset.labels = LabelTable::fromNames({"any"});
        dataset.outputOfValue.assign(65536, 1);
        std::string imageName = entry.at("file");
        imageName.replace(imageName.find("label"), 5, "image");
        const Case item{.id = "pair",
                        .image = folder / imageName,
                        .labelFile = folder / entry.at("file").get<std::string>(),
                        .maskFolder = {}};
        try {
            readCaseLabels(dataset, item, readImageHeader(item.image).geometry);
            ADD_FAILURE() << entry.at("file") << " was accepted beside " << imageName;
        } catch (const DataError& error) {
            const std::string message = error.what();
            for (const std::string wanted : entry.at("message_should_mention"))
                EXPECT_THAT(message, testing::ContainsRegex(wanted)) << entry.at("file");
        }
    }
}

}  // namespace
}  // namespace medseg
