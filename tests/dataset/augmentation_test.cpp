#include "medseg/dataset/augmentation.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace medseg {
namespace {

SliceSample sampleOf(std::int64_t height, std::int64_t width) {
    SliceSample sample{.height = height, .width = width, .layers = 2, .channels = 1, .image = {}, .labels = {}};
    for (std::int64_t i = 0; i < height * width; ++i) sample.image.push_back(static_cast<float>(i) / 64);
    for (std::int64_t i = 0; i < 2 * height * width; ++i) sample.labels.push_back(static_cast<std::uint16_t>(i));
    return sample;
}

TEST(Augmentation, IdentityChangesNothing) {
    SliceSample sample = sampleOf(5, 7);
    const SliceSample before = sample;
    transformPlane(sample, planeMap(5, 7, 0, 1, 0, 0, false, false));
    EXPECT_EQ(sample.image, before.image);
    EXPECT_EQ(sample.labels, before.labels);
}

TEST(Augmentation, QuarterTurnAndFlipsMoveWholePixels) {
    const SliceSample before = sampleOf(6, 6);
    SliceSample turned = before;
    transformPlane(turned, planeMap(6, 6, 90, 1, 0, 0, false, false));
    SliceSample flipped = before;
    transformPlane(flipped, planeMap(6, 6, 0, 1, 0, 0, true, false));
    for (int row = 0; row < 6; ++row)
        for (int column = 0; column < 6; ++column) {
            // numpy.rot90 turns counter-clockwise: out[r, c] = in[c, n - 1 - r].
            EXPECT_EQ(turned.labels[row * 6 + column], before.labels[column * 6 + 5 - row]);
            EXPECT_NEAR(turned.image[row * 6 + column], before.image[column * 6 + 5 - row], 1e-5);
            EXPECT_EQ(flipped.labels[36 + row * 6 + column], before.labels[36 + row * 6 + 5 - column]);
        }
}

TEST(Augmentation, ShiftsAndZoomsAboutTheCentre) {
    SliceSample shifted = sampleOf(6, 6);
    const SliceSample before = shifted;
    transformPlane(shifted, planeMap(6, 6, 0, 1, 2, 0, false, false));
    EXPECT_EQ(shifted.labels[2], before.labels[0]);
    EXPECT_EQ(shifted.labels[0], 0);
    EXPECT_FLOAT_EQ(shifted.image[3], before.image[1]);
    SliceSample zoomed = sampleOf(7, 7);
    const SliceSample unzoomed = zoomed;
    transformPlane(zoomed, planeMap(7, 7, 0, 2, 0, 0, false, false));
    EXPECT_EQ(zoomed.labels[3 * 7 + 3], unzoomed.labels[3 * 7 + 3]);
    EXPECT_EQ(zoomed.labels[3 * 7 + 5], unzoomed.labels[3 * 7 + 4]);
    EXPECT_FLOAT_EQ(zoomed.image[3 * 7 + 4], (unzoomed.image[3 * 7 + 3] + unzoomed.image[3 * 7 + 4]) / 2);
}

TEST(Augmentation, ChangesShapeOfImageAndLabelsAlike) {
    SliceSample sample{.height = 64,
                       .width = 64,
                       .layers = 1,
                       .channels = 1,
                       .image = std::vector<float>(4096, 0),
                       .labels = std::vector<std::uint16_t>(4096, 0)};
    for (int row = 20; row < 44; ++row)
        for (int column = 24; column < 36; ++column) {
            sample.image[row * 64 + column] = 1;
            sample.labels[row * 64 + column] = 9;
        }
    AugmentationSettings settings;
    settings.enabled = true;
    settings.probability = 1;
    settings.gamma = {1, 1};
    settings.brightness = settings.contrast = settings.noise = 0;
    for (std::uint64_t stream = 0; stream < 20; ++stream) {
        SliceSample changed = sample;
        Random random(3, stream);
        augment(changed, settings, random);
        for (std::size_t i = 0; i < 4096; ++i) {
            if (changed.image[i] > 0.75F) {
                EXPECT_EQ(changed.labels[i], 9);
            } else if (changed.image[i] < 0.25F) {
                EXPECT_EQ(changed.labels[i], 0);
            }
        }
    }
}

TEST(Augmentation, DisplacementIsSmoothBoundedAndNeverFolds) {
    Random random(5, 1);
    // An amplitude far above the limit of 0.4 times the spacing.
    const SmoothDisplacement field(48, 64, 10, 100, random);
    std::vector<std::vector<float>> x(48, std::vector<float>(64)), y = x;
    for (int row = 0; row < 48; ++row) {
        for (int column = 0; column < 64; ++column) x[row][column] = static_cast<float>(column), y[row][column] = row;
        field.addRow(row, x[row].data(), y[row].data());
    }
    float largest = 0;
    for (int row = 0; row < 48; ++row)
        for (int column = 0; column < 64; ++column) {
            largest = std::max(largest, std::abs(x[row][column] - static_cast<float>(column)));
            EXPECT_LE(std::abs(y[row][column] - static_cast<float>(row)), 4.0F);
            if (row == 0 || column == 0) continue;
            // The Jacobian's determinant stays positive.
            const float xx = x[row][column] - x[row][column - 1], xy = x[row][column] - x[row - 1][column];
            const float yx = y[row][column] - y[row][column - 1], yy = y[row][column] - y[row - 1][column];
            EXPECT_GT(xx * yy - xy * yx, 0);
        }
    EXPECT_LE(largest, 4.0F);
    EXPECT_GT(largest, 0.5F);
}

TEST(Augmentation, ChannelsAndLayersMoveAlikeAndNoLabelIsInvented) {
    SliceSample sample{.height = 40, .width = 48, .layers = 2, .channels = 3, .image = {}, .labels = {}};
    for (int channel = 0; channel < 3; ++channel)
        for (int i = 0; i < 40 * 48; ++i) sample.image.push_back((i / 48 / 8 + i % 48 / 8) % 2 == 0 ? 0.25F : 0.75F);
    for (int layer = 0; layer < 2; ++layer)
        for (int i = 0; i < 40 * 48; ++i)
            sample.labels.push_back(static_cast<std::uint16_t>((i / 48 / 8 + i % 48 / 8) % 2 == 0 ? 3 : 700));
    AugmentationSettings settings;
    settings.enabled = true;
    settings.probability = settings.effectProbability = 1;
    settings.elastic = 0.04;
    settings.blur = 1.5;
    settings.lowResolution = 0.5;
    settings.intensityScale = {0.8, 1.2};
    settings.noise = 0;
    for (std::uint64_t stream = 0; stream < 10; ++stream) {
        SliceSample changed = sample;
        Random random(4, stream);
        augment(changed, settings, random);
        for (int i = 0; i < 40 * 48; ++i) {
            EXPECT_EQ(changed.image[i], changed.image[i + 40 * 48]);
            EXPECT_EQ(changed.image[i], changed.image[i + 2 * 40 * 48]);
            EXPECT_EQ(changed.labels[i], changed.labels[i + 40 * 48]);
            EXPECT_TRUE(changed.labels[i] == 0 || changed.labels[i] == 3 || changed.labels[i] == 700);
        }
    }
}

TEST(Augmentation, IsSeededStaysInRangeAndCanBeOff) {
    AugmentationSettings settings;
    const SliceSample before = sampleOf(8, 8);
    SliceSample off = before;
    Random random(1, 1);
    augment(off, settings, random);
    EXPECT_EQ(off.image, before.image);
    settings.enabled = true;
    settings.probability = 1;
    SliceSample a = before, b = before, c = before;
    Random first(1, 2), again(1, 2), other(1, 3);
    augment(a, settings, first);
    augment(b, settings, again);
    augment(c, settings, other);
    EXPECT_EQ(a.image, b.image);
    EXPECT_EQ(a.labels, b.labels);
    EXPECT_NE(a.image, c.image);
    EXPECT_THAT(a.image, testing::Each(testing::AllOf(testing::Ge(0.0F), testing::Le(1.0F))));
}

}  // namespace
}  // namespace medseg
