#include "medseg/dataset/phantom.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/class_list.h"

namespace medseg {
namespace {

PhantomSettings smallSettings() {
    PhantomSettings settings;
    settings.seed = 11;
    settings.size = {80, 64, 48};
    return settings;
}

struct Summary {
    double voxels = 0, meanHu = 0;
    Vec3 center{};
};

Summary summarise(const PhantomCase& phantom, const std::string& name) {
    const Label* label = phantom.labels.table().findName(name);
    Summary result;
    if (label == nullptr) return result;
    const auto& image = phantom.image;
    for (std::int64_t z = 0; z < image.nz(); ++z)
        for (std::int64_t y = 0; y < image.ny(); ++y)
            for (std::int64_t x = 0; x < image.nx(); ++x) {
                if (phantom.labels.at(x, y, z) != label->id) continue;
                const Vec3 world = image.geometry().voxelToWorld({double(x), double(y), double(z)});
                ++result.voxels;
                result.meanHu += image(x, y, z);
                for (int k = 0; k < 3; ++k) result.center[k] += world[k];
            }
    result.meanHu /= result.voxels;
    for (double& c : result.center) c /= result.voxels;
    return result;
}

TEST(Phantom, IsTheSameOnOneAndTwoThreads) {
    const PhantomSettings settings = smallSettings();
    setThreadCount(1);
    const PhantomCase one = makePhantomCase(settings, 3);
    setThreadCount(2);
    const PhantomCase two = makePhantomCase(settings, 3);
    EXPECT_TRUE(std::ranges::equal(one.image.voxels(), two.image.voxels()));
    EXPECT_EQ(one.labels.countVoxels(), two.labels.countVoxels());
    EXPECT_EQ(one.id, "s0003");
}

TEST(Phantom, PatientsDiffer) {
    const PhantomSettings settings = smallSettings();
    const PhantomCase a = makePhantomCase(settings, 0), b = makePhantomCase(settings, 1);
    EXPECT_FALSE(std::ranges::equal(a.image.voxels(), b.image.voxels()));
    EXPECT_NE(a.labels.countVoxels(), b.labels.countVoxels());
}

TEST(Phantom, OrgansLieOnTheirSide) {
    const PhantomCase phantom = makePhantomCase(smallSettings(), 0);
    EXPECT_EQ(phantom.image.geometry().orientation(), "RAS");
    // RAS: x grows towards the patient's right, y to the front, z to the head.
    const auto center = [&](const char* name) { return summarise(phantom, name).center; };
    EXPECT_GT(center("liver")[0], 20);
    EXPECT_LT(center("spleen")[0], -50);
    EXPECT_LT(center("stomach")[0], -10);
    EXPECT_LT(center("heart")[0], 0);
    EXPECT_GT(center("kidney_right")[0], 40);
    EXPECT_LT(center("kidney_left")[0], -40);
    EXPECT_GT(center("kidney_left")[2], center("kidney_right")[2]);
    EXPECT_GT(center("inferior_vena_cava")[0], center("aorta")[0]);
    EXPECT_GT(center("sternum")[1], center("heart")[1]);
    EXPECT_LT(center("vertebrae_T8")[1], center("heart")[1]);
    EXPECT_GT(center("vertebrae_T8")[2], center("vertebrae_L2")[2]);
    EXPECT_GT(center("rib_right_7")[0], 50);
    EXPECT_GT(center("lung_upper_lobe_left")[2], center("lung_lower_lobe_left")[2]);
}

TEST(Phantom, TissuesHaveTheirDensityAndOrgansTheirSize) {
    for (int index = 0; index < 3; ++index) {
        const PhantomCase phantom = makePhantomCase(smallSettings(), index);
        const double millilitres = phantom.image.geometry().voxelVolume() / 1000;
        const Summary liver = summarise(phantom, "liver"), lung = summarise(phantom, "lung_lower_lobe_right");
        EXPECT_GT(liver.meanHu, 50);
        EXPECT_LT(liver.meanHu, 130);
        EXPECT_GT(liver.voxels * millilitres, 800);
        EXPECT_LT(liver.voxels * millilitres, 2200);
        EXPECT_GT(lung.meanHu, -900);
        EXPECT_LT(lung.meanHu, -650);
        EXPECT_LT(summarise(phantom, "trachea").meanHu, -650);
        EXPECT_GT(summarise(phantom, "vertebrae_L1").meanHu, 150);
        const Summary spleen = summarise(phantom, "spleen"), kidney = summarise(phantom, "kidney_left");
        EXPECT_GT(spleen.voxels * millilitres, 70);
        EXPECT_LT(spleen.voxels * millilitres, 400);
        EXPECT_GT(kidney.voxels * millilitres, 80);
        EXPECT_LT(kidney.voxels * millilitres, 260);
        // The corner is air.
        EXPECT_LT(phantom.image(0, phantom.image.ny() - 1, 20), -900);
    }
}

TEST(Phantom, PatientsOfAnotherSizeHaveTheSameOrgans) {
    PhantomSettings settings = smallSettings();
    const Summary usual = summarise(makePhantomCase(settings, 0), "liver");
    settings.bodyScale = {1, 0.9, 0.8};
    const Summary small = summarise(makePhantomCase(settings, 0), "liver");
    EXPECT_NEAR(small.voxels / usual.voxels, 0.72, 0.02);
    EXPECT_NEAR(small.center[0], usual.center[0], 1);
    EXPECT_NEAR(small.center[1], 0.9 * usual.center[1], 1);
    EXPECT_NEAR(small.center[2], 0.8 * usual.center[2], 1);
}

TEST(Phantom, LabelsOnlyWhatIsAskedFor) {
    PhantomSettings settings = smallSettings();
    settings.structures = {"heart", "liver"};
    EXPECT_THAT(phantomStructures(settings), testing::ElementsAre("liver", "heart"));
    const PhantomCase phantom = makePhantomCase(settings, 0);
    EXPECT_EQ(phantom.labels.countVoxels().size(), 3u);
    EXPECT_EQ(phantom.labels.table().nameOf(1), "liver");
    settings.structures = {"livr"};
    try {
        makePhantomCase(settings, 0);
        FAIL() << "an unknown structure was accepted";
    } catch (const UsageError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("\"livr\": did you mean \"liver\"?"));
    }
}

TEST(Phantom, RefusesImpossibleSizes) {
    PhantomSettings settings = smallSettings();
    settings.size = {4, 64, 64};
    EXPECT_THROW(makePhantomCase(settings, 0), UsageError);
    settings = smallSettings();
    settings.spacing = {1, -1, 1};
    EXPECT_THROW(makePhantomCase(settings, 0), UsageError);
    settings = smallSettings();
    settings.bodyScale = {1, 0, 1};
    EXPECT_THROW(makePhantomCase(settings, 0), UsageError);
}

TEST(ClassList, HasTheOfficialOrder) {
    EXPECT_EQ(totalSegmentatorClasses().size(), 117u);
    EXPECT_EQ(totalSegmentatorId("spleen"), 1);
    EXPECT_EQ(totalSegmentatorId("liver"), 5);
    EXPECT_EQ(totalSegmentatorId("heart"), 51);
    EXPECT_EQ(totalSegmentatorId("costal_cartilages"), 117);
    EXPECT_EQ(totalSegmentatorId("brian"), 0);
    EXPECT_EQ(totalSegmentatorLabels().nameOf(52), "aorta");
}

}  // namespace
}  // namespace medseg
