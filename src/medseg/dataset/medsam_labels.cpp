#include "medseg/dataset/medsam_labels.h"

#include <algorithm>

#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr std::int64_t kVoxelsPerTask = 1 << 18;

void removeLabels(Volume<std::uint8_t>& labels, const std::vector<int>& ids) {
    if (ids.empty()) return;
    parallelFor(0, labels.voxelCount(), kVoxelsPerTask, [&](std::int64_t first, std::int64_t last) {
        std::uint8_t* voxels = labels.data();
        for (const int id : ids) {
            const auto removed = static_cast<std::uint8_t>(id);
            for (std::int64_t i = first; i < last; ++i) voxels[i] = voxels[i] == removed ? std::uint8_t{0} : voxels[i];
        }
    });
}

/// Takes `tumor` out of the labels; returns where it was.
Volume<std::uint8_t> takeLabel(Volume<std::uint8_t>& labels, std::uint8_t tumor) {
    Volume<std::uint8_t> mask(labels.geometry(), 0);
    for (std::int64_t i = 0; i < labels.voxelCount(); ++i)
        if (labels.data()[i] == tumor) {
            mask.data()[i] = 1;
            labels.data()[i] = 0;
        }
    return mask;
}

std::int64_t splitTumors(Volume<std::uint8_t>& labels, const MedsamLabelRules& rules) {
    if (*rules.tumorLabel < 1 || *rules.tumorLabel > 255) return 0;
    const Volume<std::uint8_t> mask = takeLabel(labels, static_cast<std::uint8_t>(*rules.tumorLabel));
    const std::int64_t largest = *std::max_element(labels.data(), labels.data() + labels.voxelCount());
    const ComponentLabels tumors = labelComponents(mask, rules.connectivity3d);
    const std::int64_t shift = largest + rules.tumorOffset;
    for (std::int64_t i = 0; i < labels.voxelCount(); ++i)
        if (mask.data()[i] != 0)
            labels.data()[i] = static_cast<std::uint8_t>(static_cast<std::int64_t>(tumors.labels.data()[i]) + shift);
    return std::max<std::int64_t>(0, std::min(tumors.count, tumors.count + shift - 255));
}

}  // namespace

std::int64_t cleanMedsamLabels(Volume<std::uint8_t>& labels, const MedsamLabelRules& rules) {
    removeLabels(labels, rules.removeLabels);
    const std::int64_t wrapped = rules.tumorLabel ? splitTumors(labels, rules) : 0;
    removeSmallComponents(labels, rules.dust3d, rules.connectivity3d);
    removeSmallComponents(labels, rules.dust2d, rules.connectivity2d);
    return wrapped;
}

std::vector<std::int64_t> labelledSlices(const Volume<std::uint8_t>& labels) {
    const std::int64_t pixels = labels.nx() * labels.ny();
    std::vector<std::uint8_t> labelled(static_cast<std::size_t>(labels.nz()), 0);
    parallelFor(0, labels.nz(), 4, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t z = first; z < last; ++z) {
            const std::uint8_t* slice = labels.data() + z * pixels;
            labelled[static_cast<std::size_t>(z)] =
                std::any_of(slice, slice + pixels, [](std::uint8_t label) { return label != 0; });
        }
    });
    std::vector<std::int64_t> slices;
    for (std::int64_t z = 0; z < labels.nz(); ++z)
        if (labelled[static_cast<std::size_t>(z)] != 0) slices.push_back(z);
    return slices;
}

}  // namespace medseg
