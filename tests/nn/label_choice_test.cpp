// From probabilities to labels: thresholds, the order of structures, refinement by the image's edges, kept thresholds.
#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/infer/crf_refinement.h"
#include "medseg/infer/label_restoration.h"
#include "medseg/nn/threshold_file.h"

namespace medseg {
namespace {

std::vector<std::uint16_t> restored(OutputKind output, std::vector<double> thresholds, std::vector<float> probability,
                                    std::int64_t channels) {
    const auto pixels = static_cast<std::int64_t>(probability.size()) / channels;
    std::vector<std::uint16_t> labels(static_cast<std::size_t>(pixels), 99);
    LabelRestorer(output, std::move(thresholds))
        .restore(probability.data(), 1, pixels, channels, {labels.data(), pixels, 1, pixels});
    return labels;
}

TEST(LabelRestorer, EachStructureHasItsThreshold) {
    // Pixels: both above; the first below its own, though more probable; both below; the second exactly at its own.
    const std::vector<float> probability{0.9F, 0.8F, 0.6F, 0.4F, 0.6F, 0.2F, 0.1F, 0.3F};
    EXPECT_EQ(restored(OutputKind::Sigmoid, {0.7, 0.3}, probability, 2), (std::vector<std::uint16_t>{1, 2, 0, 2}));
    EXPECT_EQ(restored(OutputKind::Sigmoid, {0.5, 0.5}, probability, 2), (std::vector<std::uint16_t>{1, 1, 1, 0}));
}

TEST(LabelRestorer, SoftmaxTakesTheMostProbable) {
    const std::vector<float> probability{0.5F, 0.3F, 0.2F, 0.3F, 0.35F, 0.35F, 0.2F, 0.1F, 0.7F};
    EXPECT_EQ(restored(OutputKind::Softmax, {}, probability, 3), (std::vector<std::uint16_t>{0, 1, 2}));
}

/// A bright cube of 8 in a dark cube of 16 voxels.
Volume<float> cube() {
    Volume<float> image(Geometry::axisAligned({16, 16, 16}, {2, 2, 2}), -100.0F);
    for (std::int64_t z = 4; z < 12; ++z)
        for (std::int64_t y = 4; y < 12; ++y)
            for (std::int64_t x = 4; x < 12; ++x) image(x, y, z) = 100;
    return image;
}

/// The cube's probability, too large by one voxel along x where it is uncertain.
void addCube(ProbabilitySpool& spool) {
    for (std::int64_t z = 4; z < 12; ++z) {
        std::vector<float> plane(256, 0.0F);
        for (std::int64_t y = 4; y < 12; ++y)
            for (std::int64_t x = 4; x < 13; ++x) plane[static_cast<std::size_t>(x + 16 * y)] = x < 12 ? 0.9F : 0.55F;
        spool.add(1, z, plane.data());
    }
}

TEST(CrfRefinement, LabelsFollowTheEdge) {
    const TemporaryFolder folder;
    const auto image = cube();
    const LabelTable labels = LabelTable::fromNames({"cube", "absent"});
    for (const std::vector<double>& thresholds : {std::vector<double>{0.5, 0.5}, std::vector<double>{}}) {
        ProbabilitySpool spool(folder.path(), image.geometry(), SliceAxis::Axial, labels);
        addCube(spool);
        const LabelMap refined = refineLabels(image, spool, labels, thresholds);
        std::int64_t wrong = 0;
        refined.visit([&](const auto& voxels) {
            for (std::int64_t i = 0; i < image.voxelCount(); ++i)
                wrong += (voxels.data()[i] == 1) != (image.data()[i] > 0);
        });
        EXPECT_EQ(wrong, 0);
    }
}

class ThresholdFile : public testing::Test {
  protected:
    TemporaryFolder folder;
    std::filesystem::path checkpoint = folder.path() / "best.pth";
    LabelTable labels = LabelTable::fromNames({"liver", "spleen"});
};

TEST_F(ThresholdFile, ComesBackForTheSameCheckpointOnly) {
    writeTextFile(checkpoint, "weights");
    EXPECT_THROW(readThresholds(checkpoint, labels), UsageError);
    const double nan = std::nan("");
    writeThresholds(checkpoint, labels, {{0.35, 0.9, 0.8}, {0.5, nan, nan}});
    EXPECT_EQ(readThresholds(checkpoint, labels), (std::vector<double>{0.35, 0.5}));
    EXPECT_THROW(readThresholds(checkpoint, LabelTable::fromNames({"heart"})), DataError);
    writeTextFile(checkpoint, "other weights");
    EXPECT_THROW(readThresholds(checkpoint, labels), DataError);
}

TEST_F(ThresholdFile, RefusesWhatIsNoProbability) {
    writeTextFile(checkpoint, "weights");
    writeThresholds(checkpoint, labels, {{0.0, 0, 0}, {0.5, 0, 0}});
    EXPECT_THROW(readThresholds(checkpoint, labels), DataError);
    writeTextFile(thresholdFile(checkpoint), "{\"format\": \"medseg-thresholds-1\"");
    EXPECT_THROW(readThresholds(checkpoint, labels), DataError);
}

}  // namespace
}  // namespace medseg
