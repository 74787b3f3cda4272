#include <algorithm>
#include <map>
#include <set>

#include "medseg/imaging/components.h"
#include "medseg/imaging/window.h"
#include "parity/imaging/fixture.h"

namespace medseg::parity {
namespace {

Connectivity connectivityOf(const Entry& entry) {
    return connectivityFromNumber(entry.params().at("connectivity").get<int>());
}

const Registration components("connected_components", [](const Entry& entry) {
    const auto input = volumeOf<std::uint8_t>(entry.input(0));
    const auto result = labelComponents(input, connectivityOf(entry));
    expectNear(result.labels, entry.output("labels"), {});
    EXPECT_EQ(result.count, entry.expected().at("N"));
    auto statistics = findComponents(input, connectivityOf(entry));
    if (entry.expected().contains("first10"))
        for (const auto& expected : entry.expected().at("first10")) {
            const Component& component = statistics.at(expected.at("label").get<std::size_t>() - 1);
            EXPECT_EQ(component.voxels, expected.at("voxels"));
            for (int axis = 0; axis < 3; ++axis) {
                EXPECT_NEAR(component.centroid[axis], expected.at("centroid").at(2 - axis), 1e-9);
                EXPECT_EQ(component.low[axis], expected.at("bbox_start").at(2 - axis));
                EXPECT_EQ(component.high[axis] + 1, expected.at("bbox_stop_exclusive").at(2 - axis));
            }
        }
    std::sort(statistics.begin(), statistics.end(), [](const auto& a, const auto& b) { return a.voxels > b.voxels; });
    const auto& sizes = entry.expected().at("sizes_sorted_desc");
    for (std::size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(statistics.at(i).voxels, sizes.at(i));
});

const Registration dust("dust", [](const Entry& entry) {
    auto volume = volumeOf<std::uint8_t>(entry.input(0));
    const auto before = std::count_if(volume.voxels().begin(), volume.voxels().end(), [](auto v) { return v != 0; });
    const std::int64_t removed =
        removeSmallComponents(volume, entry.params().at("threshold").get<std::int64_t>(), connectivityOf(entry));
    expectNear(volume, entry.output("result"), entry.tolerance());
    EXPECT_EQ(before, entry.expected().at("voxels_before"));
    EXPECT_EQ(before - removed, entry.expected().at("voxels_left"));
    EXPECT_EQ(static_cast<std::int64_t>(findComponents(volume, connectivityOf(entry)).size()),
              entry.expected().at("components_kept"));
});

const Registration largest("largest_component", [](const Entry& entry) {
    const auto mask = largestComponent(volumeOf<std::uint8_t>(entry.input(0)), connectivityOf(entry));
    expectNear(mask, entry.output("mask"), entry.tolerance());
});

// The steps of MedSAM's pre_CT_MR on arrays of (z, y, x).
const Registration preparation("medsam_pre_CT_MR", [](const Entry& entry) {
    const auto& params = entry.params();
    ASSERT_EQ(params.at("modality"), "CT");
    const auto image = volumeOf<std::int16_t>(entry.input(0));
    auto labels = volumeOf<std::uint8_t>(entry.input(1));
    const auto removed = params.at("remove_label_ids").get<std::set<int>>();
    for (auto& v : labels.voxels())
        if (removed.contains(v)) v = 0;
    if (params.contains("tumor_id") && !params.at("tumor_id").is_null()) {
        const auto tumor = params.at("tumor_id").get<std::uint8_t>();
        Volume<std::uint8_t> mask(labels.geometry(), 0);
        std::uint8_t largestLeft = 0;
        for (std::int64_t i = 0; i < labels.voxelCount(); ++i) {
            auto& label = labels.data()[i];
            if (label == tumor) mask.data()[i] = 1, label = 0;
            largestLeft = std::max(largestLeft, label);
        }
        const auto instances = labelComponents(mask, Connectivity::TwentySix);
        for (std::int64_t i = 0; i < labels.voxelCount(); ++i)
            if (mask.data()[i] != 0)
                labels.data()[i] = static_cast<std::uint8_t>(instances.labels.data()[i] + largestLeft + 1);
    }
    removeSmallComponents(labels, params.at("voxel_num_thre3d").get<std::int64_t>(), Connectivity::TwentySix);
    expectNear(labels, entry.output("seg_after_3d_dust"), {});
    removeSmallComponents(labels, params.at("voxel_num_thre2d").get<std::int64_t>(), Connectivity::Eight);

    const Window window{params.at("window_level"), params.at("window_width")};
    EXPECT_EQ(window.low(), entry.expected().at("lower"));
    EXPECT_EQ(window.high(), entry.expected().at("upper"));
    const std::span<const std::int16_t> values = image.voxels();
    std::vector<std::uint8_t> bytes(values.size());
    scaleToBytes(values, medsamCtScale(values, window), std::span(bytes));
    const std::int64_t slice = image.nx() * image.ny();
    std::vector<double> kept, images, masks;
    for (std::int64_t z = 0; z < image.nz(); ++z) {
        const std::uint8_t* mask = labels.data() + z * slice;
        if (std::all_of(mask, mask + slice, [](auto v) { return v == 0; })) continue;
        kept.push_back(static_cast<double>(z));
        images.insert(images.end(), bytes.begin() + z * slice, bytes.begin() + (z + 1) * slice);
        masks.insert(masks.end(), mask, mask + slice);
    }
    EXPECT_EQ(static_cast<std::int64_t>(kept.size()), entry.expected().at("n_slices"));
    expectNear(kept, entry.output("z_index").toDoubles(), {});
    expectNear(images, entry.output("imgs").toDoubles(), entry.tolerance());
    expectNear(masks, entry.output("gts").toDoubles(), {});
});

}  // namespace
}  // namespace medseg::parity
