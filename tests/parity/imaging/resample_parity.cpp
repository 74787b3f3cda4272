#include "medseg/imaging/deform.h"
#include "medseg/imaging/spline_sampler.h"
#include "medseg/imaging/window.h"
#include "medseg/imaging/zoom.h"
#include "parity/imaging/fixture.h"

namespace medseg::parity {
namespace {

bool isInteger(const NpyArray& array) {
    return array.type != NpyType::F32 && array.type != NpyType::F64;
}

Index3 shapeParam(const nlohmann::json& shape) {
    Index3 size{1, 1, 1};
    for (std::size_t i = 0; i < shape.size(); ++i) size[i] = shape.at(shape.size() - 1 - i);
    return size;
}

template <typename T>
void zoomAndCompare(const Entry& entry, const NpyArray& array) {
    const auto& params = entry.params();
    const ZoomOptions options{params.at("order"), boundaryFromName(params.at("mode")), params.at("grid_mode"),
                              params.value("cval", 0.0)};
    const Vec3 factors = perAxis(params.at("zoom"), static_cast<int>(array.shape.size()), 1);
    Tolerance tolerance = entry.tolerance();
    if (options.order == 0) tolerance = {0, 0, entry.allowsTies() ? 0.002 : 0};
    expectNear(zoomVolume(volumeOf<T>(array), factors, options), entry.output("result"), tolerance);
}

const Registration zoom("scipy_zoom", [](const Entry& entry) {
    const NpyArray array = entry.input(0);
    if (array.type == NpyType::I16) return zoomAndCompare<std::int16_t>(entry, array);
    if (array.type == NpyType::U8) return zoomAndCompare<std::uint8_t>(entry, array);
    ASSERT_EQ(array.type, NpyType::F32);
    zoomAndCompare<float>(entry, array);
});

// The sampler pads and rounds to float; the filter itself is checked in double.
const Registration splineFilter("scipy_spline_filter", [](const Entry& entry) {
    const NpyArray array = entry.input(0);
    const Boundary boundary = boundaryFromName(entry.params().at("mode"));
    const int order = entry.params().at("order");
    auto volume = volumeOf<double>(array);
    const auto [nx, ny, nz] = volume.size();
    const LineEnds ends = prefilterEnds(boundary);
    for (std::int64_t row = 0; row < ny * nz; ++row) splinePrefilter(volume.data() + row * nx, nx, 1, 1, order, ends);
    for (std::int64_t z = 0; z < nz; ++z) splinePrefilter(volume.slice(z).data, ny, nx, nx, order, ends);
    splinePrefilter(volume.data(), nz, nx * ny, nx * ny, order, ends);
    expectNear(volume, entry.output("result"), entry.tolerance());
});

SampleOptions sampleOptions(const Entry& entry) {
    const auto& params = entry.params();
    return {params.at("order"), boundaryFromName(params.at("mode")), params.value("cval", 0.0)};
}

const Registration coordinates("scipy_map_coordinates", [](const Entry& entry) {
    const auto values = entry.input(1).toDoubles();
    const std::size_t n = values.size() / 3;
    std::vector<Vec3> points(n);
    for (std::size_t i = 0; i < n; ++i) points[i] = {values[2 * n + i], values[n + i], values[i]};
    expectNear(mapCoordinates(volumeOf<float>(entry.input(0)), points, sampleOptions(entry)),
               entry.output("result").toDoubles(), entry.tolerance());
});

template <typename T>
void deformAndCompare(const Entry& entry) {
    const auto volume = volumeOf<T>(entry.input(0));
    const NpyArray field = entry.input(1);
    const auto values = field.toDoubles();
    const auto dimensions = static_cast<std::size_t>(field.shape.at(0));
    const std::int64_t n = volume.voxelCount();
    std::vector<Volume<float>> displacement;
    for (std::size_t axis = 0; axis < dimensions; ++axis) {
        displacement.emplace_back(volume.geometry());
        for (std::int64_t i = 0; i < n; ++i)
            displacement[axis].data()[i] = static_cast<float>(
                values[static_cast<std::size_t>(i) + (dimensions - 1 - axis) * static_cast<std::size_t>(n)]);
    }
    const auto result = elasticDeform(volume, displacement[0], displacement[1],
                                      dimensions == 3 ? &displacement[2] : nullptr, sampleOptions(entry));
    expectNear(result, entry.output("result"), entry.tolerance());
}

const Registration elastic("elastic_deform", [](const Entry& entry) {
    if (isInteger(entry.input(0)))
        deformAndCompare<std::uint8_t>(entry);
    else
        deformAndCompare<float>(entry);
});

const Registration rotation("scipy_rotate", [](const Entry& entry) {
    const NpyArray array = entry.input(0);
    const auto dimensions = static_cast<int>(array.shape.size());
    const auto axes = entry.params().at("axes").get<std::vector<int>>();
    const int a = dimensions - 1 - axes.at(0), b = dimensions - 1 - axes.at(1);
    const auto result =
        rotateVolume(volumeOf<float>(array), entry.params().at("angle"), {std::min(a, b), std::max(a, b)},
                     entry.params().at("reshape"), sampleOptions(entry));
    Tolerance tolerance = entry.tolerance();
    if (entry.params().at("order") == 0 && entry.allowsTies()) tolerance.outliers = 0.002;
    expectNear(result, entry.output("result"), tolerance);
});

const Registration affine("scipy_affine_transform", [](const Entry& entry) {
    const auto& params = entry.params();
    std::array<Vec3, 3> matrix;
    for (int r = 0; r < 3; ++r)
        for (int c = 0; c < 3; ++c) matrix[r][c] = params.at("matrix").at(2 - r).at(2 - c);
    const auto result = affineTransform(volumeOf<float>(entry.input(0)), matrix, perAxis(params.at("offset"), 3, 0),
                                        shapeParam(params.at("output_shape")), sampleOptions(entry));
    expectNear(result, entry.output("result"), entry.tolerance());
});

Boundary skimageBoundary(const std::string& name) {
    if (name == "symmetric") return Boundary::Reflect;
    if (name == "reflect") return Boundary::Mirror;
    return boundaryFromName(name);
}

const Registration resize("skimage_resize", [](const Entry& entry) {
    const auto& params = entry.params();
    ASSERT_TRUE(params.at("preserve_range"));
    const ResizeOptions options{params.at("order"), skimageBoundary(params.at("mode")), params.at("anti_aliasing"),
                                params.at("clip"), 0};
    expectNear(resizeVolume(volumeOf<float>(entry.input(0)), shapeParam(params.at("output_shape")), options),
               entry.output("result"), entry.tolerance());
});

const Registration nnunet("nnunet_resample", [](const Entry& entry) {
    const auto& params = entry.params();
    expectNear(resampleNnunet(volumeOf<float>(entry.input(0)), shapeParam(params.at("output_shape")),
                              2 - params.at("anisotropic_axis").get<int>(), params.at("order"), params.at("order_z")),
               entry.output("result"), entry.tolerance());
});

const Registration nnunetLabels("nnunet_resize_segmentation", [](const Entry& entry) {
    ASSERT_EQ(entry.params().at("order"), 1);
    const auto result =
        resampleNnunetLabels(volumeOf<std::uint8_t>(entry.input(0)), shapeParam(entry.params().at("output_shape")));
    const NpyArray expected = entry.output("result");
    ASSERT_EQ(result.size(), sizeOf(expected));
    // Ties at 0.5 may fall either way: they are rare.
    const auto values = expected.toDoubles();
    std::size_t different = 0;
    for (std::size_t i = 0; i < values.size(); ++i) different += values[i] != result.data()[i];
    EXPECT_LE(different, values.size() / 1000);
});

const Registration medsamSlice("medsam_resize_slice", [](const Entry& entry) {
    const auto& params = entry.params();
    const NpyArray images = entry.input(0), masks = entry.input(1);
    const std::int64_t slice = params.at("slice_index_in_imgs"), size = params.at("image_size"),
                       step = params.at("subsample_step");
    const auto image = volumeOf<double>(images);
    const auto mask = volumeOf<float>(masks);
    Volume<double> one(Geometry::axisAligned({image.nx(), image.ny(), 1}, {1, 1, 1}));
    Volume<float> label(one.geometry());
    std::copy_n(image.slice(slice).data, one.voxelCount(), one.data());
    std::copy_n(mask.slice(slice).data, one.voxelCount(), label.data());
    auto resized = resizeVolume(one, {size, size, 1}, {3, Boundary::Constant, true, true, 0});
    const auto range = finiteRange(std::span<const double>(resized.voxels()));
    for (auto& v : resized.voxels()) v = (v - range.low) / std::max(range.high - range.low, 1e-8);
    const auto [mean, std] = meanAndStd(std::span<const double>(resized.voxels()));
    EXPECT_NEAR(mean, entry.expected().at("mean"), 1e-6);
    EXPECT_NEAR(std, entry.expected().at("std"), 1e-6);
    expectNear(subsample(resized.data(), size, size, step), entry.output("img01").toDoubles(), entry.tolerance());
    const auto labels = resizeVolume(label, {size, size, 1}, {0, Boundary::Constant, false, true, 0});
    expectNear(subsample(labels.data(), size, size, step), entry.output("gt").toDoubles(), {});
    const auto count = std::count_if(labels.voxels().begin(), labels.voxels().end(), [](float v) { return v > 0; });
    EXPECT_EQ(count, entry.expected().at("gt_count"));
});

}  // namespace
}  // namespace medseg::parity
