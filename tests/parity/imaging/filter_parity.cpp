#include "medseg/imaging/filter.h"

#include "medseg/imaging/components.h"
#include "medseg/imaging/morphology.h"
#include "parity/imaging/fixture.h"

namespace medseg::parity {
namespace {

Boundary modeOf(const Entry& entry) {
    return boundaryFromName(entry.params().at("mode"));
}

const Registration gaussian("scipy_gaussian_filter", [](const Entry& entry) {
    const NpyArray array = entry.input(0);
    const auto dimensions = static_cast<int>(array.shape.size());
    const GaussianOptions options{modeOf(entry), entry.params().at("truncate"), entry.params().value("cval", 0.0)};
    const Vec3 sigma = perAxis(entry.params().at("sigma"), dimensions, 0);
    // scipy keeps float32 between the axes and rounds as often as this filter does.
    expectNear(gaussianFilter(volumeOf<float>(array), sigma, options), entry.output("result"), entry.tolerance());
});

const Registration median("scipy_median_filter", [](const Entry& entry) {
    const auto image = volumeOf<std::int16_t>(entry.input(0));
    expectNear(medianFilter(image, entry.params().at("size").get<int>(), modeOf(entry)), entry.output("result"),
               entry.tolerance());
});

const Registration sobel("scipy_sobel", [](const Entry& entry) {
    const NpyArray array = entry.input(0);
    const int axis = static_cast<int>(array.shape.size()) - 1 - entry.params().at("axis").get<int>();
    expectNear(sobelFilter(volumeOf<float>(array), axis, modeOf(entry)), entry.output("result"), entry.tolerance());
});

const Registration uniform("scipy_uniform_filter", [](const Entry& entry) {
    expectNear(uniformFilter(volumeOf<float>(entry.input(0)), entry.params().at("size").get<int>(), modeOf(entry)),
               entry.output("result"), entry.tolerance());
});

const Registration blur("cv2_GaussianBlur", [](const Entry& entry) {
    ASSERT_EQ(entry.params().at("border"), "REFLECT_101");
    const auto sizes = entry.params().at("ksize").get<std::vector<int>>();
    ASSERT_EQ(sizes.at(0), sizes.at(1));
    const auto image = volumeOf<float>(entry.input(0));
    Volume<float> out(image.geometry());
    gaussianBlur(image.slice(0), sizes[0], entry.params().at("sigma"), out.slice(0));
    expectNear(out, entry.output("result"), entry.tolerance());
});

// Results are packed bits, first voxel in the highest bit.
void compareMask(const Volume<std::uint8_t>& mask, const Entry& entry) {
    std::vector<double> actual(static_cast<std::size_t>((mask.voxelCount() + 7) / 8), 0.0);
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < mask.voxelCount(); ++i)
        if (mask.data()[i] != 0) {
            actual[static_cast<std::size_t>(i / 8)] += 128 >> (i % 8);
            ++count;
        }
    EXPECT_EQ(count, entry.expected().at("count"));
    expectNear(actual, entry.output("result").toDoubles(), entry.tolerance());
}

StructuringElement elementOf(const Entry& entry, int dimensions) {
    if (entry.params().contains("structure")) {
        const std::string text = entry.params().at("structure");
        const std::string prefix = "ball radius ";
        if (!text.starts_with(prefix)) throw std::runtime_error("unknown structure '" + text + "'");
        return StructuringElement::ball(std::stod(text.substr(prefix.size())), dimensions);
    }
    return StructuringElement::neighbours(entry.params().at("structure_connectivity"), dimensions);
}

using Operation = Volume<std::uint8_t> (*)(const Volume<std::uint8_t>&, const StructuringElement&,
                                           const MorphologyOptions&);
Handler morphology(Operation operation) {
    return [operation](const Entry& entry) {
        const NpyArray array = entry.input(0);
        const MorphologyOptions options{entry.params().value("iterations", 1),
                                        entry.params().value("border_value", 0) != 0};
        compareMask(
            operation(volumeOf<std::uint8_t>(array), elementOf(entry, static_cast<int>(array.shape.size())), options),
            entry);
    };
}
const Registration erosion("binary_erosion", morphology(erode));
const Registration dilation("binary_dilation", morphology(dilate));
const Registration opening("binary_opening", morphology(openMask));
const Registration closing("binary_closing", morphology(closeMask));

const Registration holes("binary_fill_holes", [](const Entry& entry) {
    const bool full = entry.params().at("background_connectivity").get<int>() > 1;
    compareMask(fillHoles(volumeOf<std::uint8_t>(entry.input(0)), HoleKind::Volume, full), entry);
});

const Registration smallObjects("remove_small_objects", [](const Entry& entry) {
    const NpyArray array = entry.input(0);
    const int connectivity = entry.params().at("connectivity");
    const int neighbours = array.shape.size() == 2 ? connectivity * 4
                           : connectivity == 1     ? 6
                           : connectivity == 2     ? 18
                                                   : 26;
    auto mask = volumeOf<std::uint8_t>(array);
    for (auto& v : mask.voxels()) v = v != 0;
    removeSmallComponents(mask, entry.params().at("min_size").get<std::int64_t>(), connectivityFromNumber(neighbours));
    compareMask(mask, entry);
});

}  // namespace
}  // namespace medseg::parity
