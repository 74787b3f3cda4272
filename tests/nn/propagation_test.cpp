// Prompts that travel: rules that need no trained network.
#include "medseg/infer/slice_propagation.h"

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/imaging/resize_opencv.h"
#include "medseg/infer/memory_propagation.h"
#include "medseg/infer/propagated_prediction.h"
#include "medseg/nn/sam2/registry.h"

namespace medseg {
namespace {

Sam2 smallModel() {
    torch::manual_seed(3);
    Sam2Settings settings = sam2ByName("hiera_mini");
    settings.imageSize = 64;
    Sam2 model(settings);
    model->eval();
    return model;
}

Volume<std::uint8_t> slices(std::int64_t count) {
    Volume<std::uint8_t> volume(Geometry::axisAligned({40, 32, count}, {1, 1, 1}), 30);
    for (std::int64_t z = 0; z < count; ++z)
        for (std::int64_t y = 10; y < 20; ++y)
            for (std::int64_t x = 12; x < 24; ++x) volume(x, y, z) = 200;
    return volume;
}

LabelBoxes threeSlices() {
    LabelBoxes boxes;
    boxes.label = 4;
    boxes.boxes = {{4, 2, {0, 0, 4, 4}}, {4, 3, {0, 0, 9, 9}}, {4, 7, {0, 0, 5, 5}}};
    boxes.pixels = {10, 12, 20};
    return boxes;
}

TEST(SlicePropagation, StartsWhereTheRulesSay) {
    const auto corrected = promptFromBoxes(threeSlices(), SlicePropagationRules::corrected());
    EXPECT_EQ(corrected.start, 7) << "the largest mask";
    EXPECT_EQ(corrected.box, (PixelBox{0, 0, 5, 5})) << "the box of the slice it is used on";
    const auto official = promptFromBoxes(threeSlices(), SlicePropagationRules::official());
    EXPECT_EQ(official.start, 4) << "the middle of 2 and 7, rounded down";
    EXPECT_EQ(official.box, (PixelBox{0, 0, 9, 9})) << "the largest box";
    EXPECT_THROW(promptFromBoxes({}, {}), DataError);
}

TEST(SlicePropagation, WidensBoxesByTheSameShareOfAnyGrid) {
    const auto corrected = SlicePropagationRules::corrected();
    EXPECT_DOUBLE_EQ(corrected.shiftAt(1024), 5);
    EXPECT_DOUBLE_EQ(corrected.shiftAt(256), 1.25);
    EXPECT_DOUBLE_EQ(SlicePropagationRules::official().shiftAt(256), 5);
    EXPECT_DOUBLE_EQ(SlicePropagationRules::ild().shiftAt(256), 5);
    const Volume<std::uint8_t> volume = slices(1);
    const auto box = boxOfLabel(volume.slice(0), 200, 1.25, BoxLimit::LastPixel);
    EXPECT_EQ(box, (PixelBox{10.75, 8.75, 24.25, 20.25}));
}

TEST(SlicePropagation, PromptsWithTheWidenedBoxOfTheMaskBefore) {
    const Volume<std::uint8_t> volume = slices(6);
    for (const auto& [rules, shift] : {std::pair{SlicePropagationRules::corrected(), 5 * 64 / 1024.0},
                                       std::pair{SlicePropagationRules::official(), 5.0}}) {
        SliceFeatures features(smallModel(), volume, SliceResize::Smooth);
        std::vector<std::uint8_t> before(40 * 32), resized(64 * 64);
        int followed = 0;
        propagateSlices(
            features, {{1, 0, 5, 0, {10, 8, 26, 22}}}, rules,
            [&](int, std::int64_t, const float* p) {
                for (std::size_t i = 0; i < before.size(); ++i) before[i] = p[i] > 0.5F ? 1 : 0;
            },
            [&](const PropagationStep& step) {
                if (step.source != PropagationStep::Source::PreviousMask) return;
                ++followed;
                resizeOpenCv({before.data(), 40, 32, 1}, OpenCvResize::Nearest, {resized.data(), 64, 64, 1});
                const SliceView<const std::uint8_t> seen{resized.data(), 64, 64, 64};
                EXPECT_EQ(step.box, boxOfLabel(seen, 1, shift, rules.limit)) << "slice " << step.slice;
            });
        EXPECT_GT(followed, 0);
    }
}

TEST(SlicePropagation, RulesAreThoseOfBoxes) {
    PropagationOptions options;
    options.rules = "ild";
    options.boxShift = 3;
    EXPECT_FALSE(SlicePropagationRules::from(options).includeFirst);
    EXPECT_DOUBLE_EQ(SlicePropagationRules::from(options).shiftAt(64), 3);
    options.method = "memory";
    EXPECT_TRUE(SlicePropagationRules::from(options).includeFirst);
    EXPECT_DOUBLE_EQ(SlicePropagationRules::from(options).shiftAt(512), 1.5);
}

TEST(SlicePropagation, VisitsEachSliceOnceAndEmbedsItOnce) {
    const Volume<std::uint8_t> volume = slices(9);
    for (const bool ends : {true, false}) {
        SliceFeatures features(smallModel(), volume, SliceResize::Smooth);
        SlicePropagationRules rules = ends ? SlicePropagationRules::official() : SlicePropagationRules::ild();
        std::map<int, std::vector<std::int64_t>> visited;
        propagateSlices(features, {{1, 1, 7, 4, {10, 8, 26, 22}}, {2, 0, 8, 6, {11, 9, 25, 21}}}, rules,
                        [&](int label, std::int64_t slice, const float*) { visited[label].push_back(slice); });
        if (ends) {
            EXPECT_EQ(visited[1], (std::vector<std::int64_t>{4, 5, 6, 7, 3, 2, 1}));
            EXPECT_EQ(visited[2], (std::vector<std::int64_t>{6, 7, 8, 5, 4, 3, 2, 1, 0}));
        } else {
            EXPECT_EQ(visited[1], (std::vector<std::int64_t>{4, 5, 6, 3, 2}));
            EXPECT_EQ(visited[2], (std::vector<std::int64_t>{6, 7, 5, 4, 3, 2, 1}));
        }
        EXPECT_EQ(features.encodings(), ends ? 9 : 7);
    }
}

TEST(SlicePropagation, LabelsDoNotInfluenceEachOther) {
    const Volume<std::uint8_t> volume = slices(5);
    const SlicePropagationPrompt first{1, 0, 4, 2, {10, 8, 26, 22}}, second{2, 0, 4, 1, {2, 2, 30, 30}};
    std::map<std::int64_t, std::vector<float>> alone, together;
    const auto keep = [](std::map<std::int64_t, std::vector<float>>& into) {
        return [&into](int label, std::int64_t slice, const float* p) {
            if (label == 1) into[slice].assign(p, p + 40 * 32);
        };
    };
    SliceFeatures one(smallModel(), volume, SliceResize::Smooth), two(smallModel(), volume, SliceResize::Smooth);
    propagateSlices(one, {first}, {}, keep(alone));
    propagateSlices(two, {first, second}, {}, keep(together));
    // Later boxes follow from masks whose borders an untrained network leaves to rounding.
    ASSERT_EQ(alone.at(2).size(), together.at(2).size());
    for (std::size_t i = 0; i < alone.at(2).size(); ++i) ASSERT_NEAR(alone.at(2)[i], together.at(2)[i], 1e-4);
}

TEST(SlicePropagation, RefusesBoxesOutside) {
    const Volume<std::uint8_t> volume = slices(3);
    SliceFeatures features(smallModel(), volume, SliceResize::Smooth);
    const auto run = [&](const SlicePropagationPrompt& prompt) {
        propagateSlices(features, {prompt}, {}, [](int, std::int64_t, const float*) {});
    };
    EXPECT_THROW(run({1, 0, 2, 3, {1, 1, 5, 5}}), DataError) << "slice";
    EXPECT_THROW(run({1, 0, 2, 1, {1, 1, 50, 5}}), DataError) << "beyond the right border";
    EXPECT_THROW(run({1, 0, 2, 1, {5, 1, 5, 5}}), DataError) << "no width";
    EXPECT_THROW(run({1, 0, 3, 1, {1, 1, 5, 5}}), DataError) << "range";
    EXPECT_EQ(features.encodings(), 0);
}

TEST(SliceFeatures, KeepsWhatTheBudgetHolds) {
    const Volume<std::uint8_t> volume = slices(4);
    SliceFeatures features(smallModel(), volume, SliceResize::Smooth, 1);
    features.at(0);
    features.at(0);
    EXPECT_EQ(features.encodings(), 1) << "the last one stays";
    features.at(1);
    features.at(0);
    EXPECT_EQ(features.encodings(), 3);
}

TEST(MemoryPropagation, BothDirectionsFromTheKeySlices) {
    const Volume<std::uint8_t> volume = slices(7);
    SliceFeatures features(smallModel(), volume, SliceResize::Pillow);
    std::vector<std::int64_t> visited;
    propagateMemory(features, {{1, {{1, 2, {10, 8, 26, 22}}, {1, 4, {10, 8, 26, 22}}}, 0, 6}},
                    [&](int, std::int64_t slice, const float*) { visited.push_back(slice); });
    EXPECT_EQ(visited, (std::vector<std::int64_t>{2, 3, 4, 5, 6, 4, 3, 2, 1, 0}));
    EXPECT_EQ(features.encodings(), 7);
    EXPECT_THROW(propagateMemory(features, {{1, {}, 0, 6}}, [](int, std::int64_t, const float*) {}), DataError);
    EXPECT_THROW(propagateMemory(features, {{1, {{1, 0, {1, 1, 5, 5}}}, 1, 6}}, [](int, std::int64_t, const float*) {}),
                 DataError);
}

TEST(PropagatedSegmentation, PaintsLabelsAndMasks) {
    const Volume<std::uint8_t> volume = slices(5);
    LabelBoxes boxes;
    boxes.label = 3;
    boxes.boxes = {{3, 2, {10, 8, 26, 22}}};
    boxes.pixels = {120};
    for (const char* method : {"slices", "memory"}) {
        PropagationOptions options;
        options.method = method;
        options.separate = true;
        const PropagatedSegmentation result = segmentPropagated(smallModel(), volume, {{boxes, false}}, options);
        ASSERT_EQ(result.masks.size(), 1U);
        std::int64_t inside = 0;
        for (std::int64_t i = 0; i < volume.voxelCount(); ++i) inside += result.masks[0].data()[i];
        const auto counts = result.labels.countVoxels();
        EXPECT_EQ(counts.size() > 3 ? counts[3] : 0, inside) << method;
        EXPECT_FALSE(result.objects.empty());
    }
}

}  // namespace
}  // namespace medseg
