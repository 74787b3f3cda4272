#include "medseg/imaging/lung_mask.h"

#include <algorithm>
#include <vector>

#include "medseg/base/threads.h"
#include "medseg/imaging/components.h"
#include "medseg/imaging/morphology.h"

namespace medseg {
namespace {

Volume<std::uint8_t> airMask(const Volume<float>& image, double limit) {
    Volume<std::uint8_t> air(image.geometry());
    parallelFor(0, image.voxelCount(), 1 << 18, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) air.data()[i] = image.data()[i] < limit ? 1 : 0;
    });
    return air;
}

bool reachesSide(const Component& component, const Index3& size) {
    return component.low[0] == 0 || component.low[1] == 0 || component.high[0] == size[0] - 1 ||
           component.high[1] == size[1] - 1;
}

/// Numbers (from 1) of the components that are lungs, the largest first.
std::vector<std::size_t> lungComponents(const std::vector<Component>& components, const Geometry& geometry,
                                        const LungRules& rules) {
    const double voxelMl = geometry.voxelVolume() / 1000;
    std::vector<std::size_t> lungs;
    for (std::size_t i = 0; i < components.size(); ++i)
        if (!reachesSide(components[i], geometry.size()) &&
            static_cast<double>(components[i].voxels) * voxelMl >= rules.smallestMl)
            lungs.push_back(i + 1);
    std::stable_sort(lungs.begin(), lungs.end(),
                     [&](std::size_t a, std::size_t b) { return components[a - 1].voxels > components[b - 1].voxels; });
    if (lungs.size() > 2) lungs.resize(2);
    if (lungs.size() == 2 && static_cast<double>(components[lungs[1] - 1].voxels) <
                                 rules.smallestShare * static_cast<double>(components[lungs[0] - 1].voxels))
        lungs.resize(1);
    return lungs;
}

}  // namespace

Volume<std::uint8_t> segmentLungs(const Volume<float>& image, const LungRules& rules) {
    const Geometry& geometry = image.geometry();
    const ComponentLabels air = labelComponents(airMask(image, rules.airHu), Connectivity::Six);
    Volume<std::uint8_t> lungs(geometry, 0);
    {
        const std::vector<Component> pieces = findComponents(air.labels, Connectivity::Six);
        const std::vector<std::size_t> numbers = lungComponents(pieces, geometry, rules);
        if (numbers.empty()) return lungs;
        const auto worldX = [&](std::size_t number) { return geometry.voxelToWorld(pieces[number - 1].centroid)[0]; };
        // World x grows to the patient's right.
        std::vector<std::uint8_t> labelOf(pieces.size() + 1, 0);
        const bool firstIsRight = numbers.size() == 1 || worldX(numbers[0]) >= worldX(numbers[1]);
        labelOf[numbers[0]] = firstIsRight ? 1 : 2;
        if (numbers.size() == 2) labelOf[numbers[1]] = firstIsRight ? 2 : 1;
        for (std::int64_t i = 0; i < lungs.voxelCount(); ++i) lungs.data()[i] = labelOf[air.labels.data()[i]];
    }
    // Vessels and dense disease belong to the lung.
    const StructuringElement ball = StructuringElement::ballMm(rules.closingMm, geometry.spacing());
    Volume<std::uint8_t> closed(geometry, 0);
    for (const std::uint8_t side : {std::uint8_t{1}, std::uint8_t{2}}) {
        Volume<std::uint8_t> lung(geometry);
        for (std::int64_t i = 0; i < lungs.voxelCount(); ++i) lung.data()[i] = lungs.data()[i] == side ? 1 : 0;
        const Volume<std::uint8_t> filled = fillHoles(closeMask(lung, ball), HoleKind::Slices);
        for (std::int64_t i = 0; i < lungs.voxelCount(); ++i)
            if ((filled.data()[i] != 0 || lung.data()[i] != 0) && closed.data()[i] == 0) closed.data()[i] = side;
    }
    return closed;
}

}  // namespace medseg
