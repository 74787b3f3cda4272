#include "medseg/dataset/prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Geometry volumeGrid() {
    // 2 mm, 3 mm, 4 mm; voxel (0,0,0) at (-10, -20, -30).
    return Geometry::axisAligned({40, 30, 6}, {2, 3, 4}, {-10, -20, -30});
}

std::vector<Prompt> resolve(const PromptOptions& options, const Geometry& geometry) {
    LabelTable table;
    return resolvePrompts(options, geometry, "image.nii.gz", table);
}

std::string errorOf(const PromptOptions& options, const Geometry& geometry) {
    try {
        resolve(options, geometry);
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

TEST(Prompts, BoxesOfFourFiveAndSixNumbers) {
    PromptOptions options;
    options.boxes = {"9,8,2,3"};
    const auto picture = resolve(options, Geometry::axisAligned({20, 20, 1}, {1, 1, 1}));
    ASSERT_EQ(picture.size(), 1U);
    EXPECT_THAT(*picture[0].box, ElementsAre(2, 3, 9, 8)) << "corners in order";
    EXPECT_EQ(picture[0].slice, 0);
    EXPECT_EQ(picture[0].label, 1);

    options.boxes = {"7:1,2,3,4,5", "2:1,2,3,6,7,1"};
    const auto volume = resolve(options, volumeGrid());
    ASSERT_EQ(volume.size(), 1U + 3U) << "slices 1, 2, 3 and then 5";
    EXPECT_EQ(volume[0].slice, 1);
    EXPECT_EQ(volume[0].label, 2);
    EXPECT_THAT(*volume[0].box, ElementsAre(1, 2, 6, 7));
    EXPECT_EQ(volume[3].slice, 5);
    EXPECT_EQ(volume[3].label, 7);
}

TEST(Prompts, WorldCoordinates) {
    PromptOptions options;
    options.world = true;
    // By hand: x (-10 + 2 i) = 0 -> 5, 10 -> 10; y (-20 + 3 j) = -5 -> 5, 10 -> 10; z (-30 + 4 k) = -22 -> 2.
    options.boxes = {"10,10,-22,0,-5,-22"};
    options.points = {"0,-5,-22"};
    const auto prompts = resolve(options, volumeGrid());
    ASSERT_EQ(prompts.size(), 1U);
    EXPECT_THAT(*prompts[0].box, ElementsAre(5, 5, 10, 10));
    EXPECT_EQ(prompts[0].slice, 2);
    ASSERT_EQ(prompts[0].points.size(), 1U) << "the point joins the box of its label and slice";
    EXPECT_DOUBLE_EQ(prompts[0].points[0].x, 5);
    EXPECT_DOUBLE_EQ(prompts[0].points[0].y, 5);
}

TEST(Prompts, PointsJoinByLabelAndSlice) {
    PromptOptions options;
    options.points = {"1,2,3", "4,5,3", "2:1,1,3"};
    options.exclude = {"6,7,3"};
    const auto prompts = resolve(options, volumeGrid());
    ASSERT_EQ(prompts.size(), 2U);
    EXPECT_FALSE(prompts[0].box);
    ASSERT_EQ(prompts[0].points.size(), 3U);
    EXPECT_TRUE(prompts[0].points[0].inside);
    EXPECT_FALSE(prompts[0].points[2].inside);
    EXPECT_EQ(prompts[1].label, 2);
}

TEST(Prompts, MistakesAreNamed) {
    PromptOptions options;
    options.boxes = {"1,2,3,4"};
    EXPECT_THAT(errorOf(options, volumeGrid()), HasSubstr("needs the slice"));
    options.boxes = {"1,2,3,4,6"};
    EXPECT_THAT(errorOf(options, volumeGrid()), HasSubstr("slice 6 lies outside"));
    options.boxes = {"1,2,100,4,0"};
    EXPECT_THAT(errorOf(options, volumeGrid()), HasSubstr("outside"));
    options.boxes = {"1,2,x,4,0"};
    EXPECT_THAT(errorOf(options, volumeGrid()), HasSubstr("\"x\" is not a number"));
    options.boxes = {"0:1,2,3,4,0"};
    EXPECT_THAT(errorOf(options, volumeGrid()), HasSubstr("1 to 65535"));
    options.boxes = {"1,2,nan,4,0"};
    EXPECT_THAT(errorOf(options, volumeGrid()), HasSubstr("not a number"));
    options.boxes = {"1,2,0,3,4,1e30"};
    EXPECT_THAT(errorOf(options, volumeGrid()), HasSubstr("more slices"));
}

TEST(Prompts, CsvRowsForOneImage) {
    const TemporaryFolder work;
    std::ofstream(work.path() / "prompts.csv") << "image,label,z,x0,y0,x1,y1,x,y,inside\n"
                                                  "image,3,1,2,3,8,9,,,\n"
                                                  "other,4,1,2,3,8,9,,,\n"
                                                  "\n"
                                                  "image.nii.gz,3,1,,,,,5,6,0\n";
    PromptOptions options;
    options.csv = work.path() / "prompts.csv";
    const auto prompts = resolve(options, volumeGrid());
    ASSERT_EQ(prompts.size(), 1U);
    EXPECT_EQ(prompts[0].label, 3);
    EXPECT_THAT(*prompts[0].box, ElementsAre(2, 3, 8, 9));
    ASSERT_EQ(prompts[0].points.size(), 1U);
    EXPECT_FALSE(prompts[0].points[0].inside);

    std::ofstream(work.path() / "prompts.csv") << "x0,y0,x1,width\n";
    EXPECT_THAT(errorOf(options, volumeGrid()), HasSubstr("\"width\" is none of"));
    std::ofstream(work.path() / "prompts.csv") << "z,x0,y0,x1,y1\n1,2,3,,9\n";
    EXPECT_THAT(errorOf(options, volumeGrid()), HasSubstr("line 2: x1"));
}

TEST(Prompts, BoxesFromALabelMap) {
    const TemporaryFolder work;
    Volume<std::uint8_t> labels(volumeGrid(), 0);
    labels(3, 4, 2) = labels(7, 5, 2) = 9;
    labels(39, 29, 2) = 4;
    labels(0, 0, 5) = 4;
    LabelTable table;
    table.add({9, "spleen", {}});
    writeLabelMap(work.path() / "image.nii.gz", {std::move(labels), table});
    PromptOptions options;
    options.boxesFrom = work.path();
    options.margin = 2;
    LabelTable used;
    const auto prompts = resolvePrompts(options, volumeGrid(), "somewhere/image_0000.nii.gz", used);
    ASSERT_EQ(prompts.size(), 3U);
    EXPECT_EQ(prompts[0].label, 4);
    EXPECT_THAT(*prompts[0].box, ElementsAre(37, 27, 39, 29)) << "the margin ends at the border";
    EXPECT_EQ(prompts[1].label, 9);
    EXPECT_THAT(*prompts[1].box, ElementsAre(1, 2, 9, 7));
    EXPECT_EQ(prompts[2].slice, 5);
    EXPECT_EQ(used.nameOf(9), "spleen");
    EXPECT_THROW(resolvePrompts(options, volumeGrid(), "other.nii.gz", used), DataError);
}

}  // namespace
}  // namespace medseg
