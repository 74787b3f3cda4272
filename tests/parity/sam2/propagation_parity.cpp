// Slice propagation of MedSAM2 (2024), and the boxes it starts from.
#include <map>

#include "fixture.h"
#include "medseg/dataset/box_prompts.h"
#include "medseg/imaging/resize_opencv.h"
#include "medseg/imaging/resize_pillow.h"
#include "medseg/infer/slice_propagation.h"
#include "medseg/io/npy.h"

namespace medseg::test {
namespace {

using nlohmann::json;

Volume<std::uint8_t> volumeOf(const torch::Tensor& array) {
    const torch::Tensor bytes = array.to(torch::kByte).contiguous();
    Volume<std::uint8_t> volume(Geometry({bytes.size(2), bytes.size(1), bytes.size(0)}, identityAffine()));
    std::memcpy(volume.data(), bytes.data_ptr(), static_cast<std::size_t>(volume.voxelCount()));
    return volume;
}

PixelBox boxFrom(const json& corners) {
    const auto c = corners.get<std::array<double, 4>>();
    return {c[0], c[1], c[2], c[3]};
}

const char* sourceName(PropagationStep::Source source) {
    switch (source) {
        case PropagationStep::Source::Prompt:
            return "prompt";
        case PropagationStep::Source::PreviousMask:
            return "previous_mask";
        case PropagationStep::Source::Fallback:
            return "prompt_fallback";
    }
    return "";
}

/// What the trace says of one label: the first entry describes the prompt, the others the visited slices.
std::map<int, std::vector<json>> traceByLabel() {
    std::map<int, std::vector<json>> labels;
    for (const json& entry : sam2Json("infer3d/trace.json")) labels[entry.at("label")].push_back(entry);
    return labels;
}

TEST(Sam2Parity, SlicePropagation) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const auto images = volumeOf(sam2Array("infer3d/volume.npz", "imgs"));
    const auto info = sam2Json("infer3d/info.json");
    SlicePropagationRules rules = SlicePropagationRules::official();
    rules.boxShift = info.at("box_shift");
    const LabelMap labels(volumeOf(sam2Array("infer3d/volume.npz", "gts")));
    SliceFeatures features(tinyModel("image"), images, SliceResize::Smooth);
    const auto trace = traceByLabel();

    std::vector<SlicePropagationPrompt> prompts;
    for (const LabelBoxes& boxes : labelBoxesBySlice(labels, rules.boxShift, rules.limit)) {
        prompts.push_back(promptFromBoxes(boxes, rules));
        const json& expected = trace.at(boxes.label).front();
        EXPECT_EQ(prompts.back().low, expected.at("z_min"));
        EXPECT_EQ(prompts.back().high, expected.at("z_max"));
        EXPECT_EQ(prompts.back().start, expected.at("z_middle"));
        EXPECT_EQ(prompts.back().box, boxFrom(expected.at("prompt_box_original_pixels")));
    }
    ASSERT_EQ(prompts.size(), trace.size());

    std::map<int, torch::Tensor> segmentations;
    std::map<int, std::vector<PropagationStep>> steps;
    for (const auto& prompt : prompts)
        segmentations[prompt.label] = torch::zeros({images.nz(), images.ny(), images.nx()}, torch::kByte);
    propagateSlices(
        features, prompts, rules,
        [&](int label, std::int64_t slice, const float* probability) {
            const auto plane = torch::from_blob(const_cast<float*>(probability), {images.ny(), images.nx()});
            segmentations[label][slice] = (plane > 0.5).to(torch::kByte);
        },
        [&](const PropagationStep& step) { steps[step.label].push_back(step); });

    for (const auto& [label, entries] : trace) {
        ASSERT_EQ(steps[label].size() + 1, entries.size()) << label;
        for (std::size_t i = 0; i < steps[label].size(); ++i) {
            const PropagationStep& step = steps[label][i];
            const json& expected = entries[i + 1];
            EXPECT_EQ(step.slice, expected.at("z")) << label;
            EXPECT_EQ(sourceName(step.source), expected.at("box_source").get<std::string>())
                << label << " " << step.slice;
            const PixelBox box = boxFrom(expected.at("box"));
            for (const auto& [actual, wanted] : {std::pair{step.box.x0, box.x0}, std::pair{step.box.y0, box.y0},
                                                 std::pair{step.box.x1, box.x1}, std::pair{step.box.y1, box.y1}})
                EXPECT_NEAR(actual, wanted, 1e-9) << label << " " << step.slice;
            EXPECT_NEAR(step.iou, expected.at("iou").get<double>(), kIouLimit) << label << " " << step.slice;
            EXPECT_EQ(step.pixels, expected.at("mask_voxels")) << label << " " << step.slice;
        }
        const std::string name = info.at("label_names").at(std::to_string(label));
        const torch::Tensor expected = sam2Array("infer3d/expected.npz", name);
        EXPECT_TRUE(torch::equal(segmentations[label], expected))
            << name << ": " << (segmentations[label] != expected).sum().item<std::int64_t>() << " voxels differ";
    }
    EXPECT_EQ(features.encodings(), images.nz()) << "every slice is embedded once for all labels and directions";
}

TEST(Sam2Parity, BoxesOfMasks) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const json cases = sam2Json("misc/bbox_cases.json");
    for (const json& item : cases.at("mask_boxes")) {
        const std::int64_t height = item.at("mask_height"), width = item.at("mask_width");
        std::vector<std::uint8_t> mask(static_cast<std::size_t>(height * width));
        for (const json& r : item.at("filled_rectangles_y0x0y1x1_exclusive"))
            for (std::int64_t y = r.at(0); y < r.at(2); ++y)
                for (std::int64_t x = r.at(1); x < r.at(3); ++x) mask[static_cast<std::size_t>(y * width + x)] = 1;
        const SliceView<const std::uint8_t> view{mask.data(), width, height, width};
        EXPECT_EQ(boxOfLabel(view, 1, 5, BoxLimit::Size), boxFrom(item.at("box_shift5_clamped_to_size")));
        EXPECT_EQ(boxOfLabel(view, 1, 0, BoxLimit::Size), boxFrom(item.at("box_shift0_clamped_to_size")));
        EXPECT_EQ(boxOfLabel(view, 1, 5, BoxLimit::LastPixel), boxFrom(item.at("box_shift5_clamped_to_size_minus_1")));
        EXPECT_FALSE(boxOfLabel(view, 2, 5, BoxLimit::Size));
    }
}

TEST(Sam2Parity, BoxesOfLines) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const json cases = sam2Json("misc/bbox_cases.json");
    for (const json& item : cases.at("recist_line_boxes")) {
        const std::int64_t height = item.at("height"), width = item.at("width");
        std::vector<std::uint8_t> mask(static_cast<std::size_t>(height * width));
        for (const json& pixel : item.at("line_pixels_yx"))
            mask[static_cast<std::size_t>(pixel.at(0).get<std::int64_t>() * width + pixel.at(1).get<std::int64_t>())] =
                1;
        const SliceView<const std::uint8_t> view{mask.data(), width, height, width};
        EXPECT_EQ(boxOfLine(view, 0), boxFrom(item.at("box_shift0")));
        EXPECT_EQ(boxOfLine(view, 4), boxFrom(item.at("box_shift4")));
    }
    const torch::Tensor line = sam2Array("video/recist_line.npy");
    const auto box = boxOfLine({line.data_ptr<std::uint8_t>(), line.size(1), line.size(0), line.size(1)}, 0);
    ASSERT_TRUE(box);
    const torch::Tensor expected = sam2Array("video/v2_recist_box.npy");
    EXPECT_TRUE(
        torch::equal(torch::tensor({box->x0, box->y0, box->x1, box->y1}, torch::kDouble), expected.to(torch::kDouble)));
}

TEST(Sam2Parity, NearestResize) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const json tables = sam2Json("misc/nearest_resize_indices.json");
    for (const auto& [name, indices] : tables.items()) {
        const auto middle = name.find("_to_");
        if (middle == std::string::npos || !indices.is_array()) continue;
        const int from = std::stoi(name.substr(0, middle)), to = std::stoi(name.substr(middle + 4));
        std::vector<float> source(static_cast<std::size_t>(from)), target(static_cast<std::size_t>(to));
        for (int i = 0; i < from; ++i) source[static_cast<std::size_t>(i)] = static_cast<float>(i);
        resizeOpenCv(PixelView<const float>{source.data(), from, 1, 1}, OpenCvResize::Nearest,
                     PixelView<float>{target.data(), to, 1, 1});
        for (int i = 0; i < to; ++i)
            ASSERT_EQ(target[static_cast<std::size_t>(i)], indices.at(static_cast<std::size_t>(i)).get<float>())
                << name;
    }
}

TEST(Sam2Parity, VideoFrameResize) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const torch::Tensor frames = sam2Array("video/frames_u8.npy");
    const torch::Tensor expected = sam2Array("video/frames_resized_u8.npz", "frames");
    torch::Tensor resized = torch::empty_like(expected);
    for (std::int64_t i = 0; i < frames.size(0); ++i)
        resizePillow({frames[i].data_ptr<std::uint8_t>(), frames.size(2), frames.size(1), 1}, PillowFilter::Bicubic,
                     {resized[i].data_ptr<std::uint8_t>(), resized.size(2), resized.size(1), 1});
    EXPECT_TRUE(torch::equal(resized, expected));
}

}  // namespace
}  // namespace medseg::test
