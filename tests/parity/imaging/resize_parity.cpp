#include "medseg/imaging/deform.h"
#include "medseg/imaging/grid_sample.h"
#include "medseg/imaging/resize2d.h"
#include "medseg/imaging/resize_opencv.h"
#include "medseg/imaging/resize_torch.h"
#include "parity/imaging/fixture.h"

namespace medseg::parity {
namespace {

TorchResize torchMode(const std::string& name) {
    if (name == "nearest") return TorchResize::Nearest;
    if (name == "nearest-exact") return TorchResize::NearestExact;
    if (name == "bilinear" || name == "trilinear" || name == "linear") return TorchResize::Linear;
    if (name == "bicubic") return TorchResize::Cubic;
    if (name == "area") return TorchResize::Area;
    throw std::runtime_error("unknown mode '" + name + "'");
}

const Registration interpolate("torch_interpolate", [](const Entry& entry) {
    const auto& params = entry.params();
    const NpyArray array = entry.input(0);
    const auto volume = volumeOf<float>(array);
    TorchResizeOptions options{
        torchMode(params.at("mode")), params.value("align_corners", false), params.value("antialias", false), {}};
    Index3 size = volume.size();
    const auto dimensions = static_cast<int>(array.shape.size());
    if (params.contains("size")) {
        for (int i = 0; i < dimensions; ++i) size[i] = params.at("size").at(dimensions - 1 - i);
    } else {
        const double factor = params.at("scale_factor");
        for (int i = 0; i < dimensions; ++i)
            size[i] = static_cast<std::int64_t>(std::floor(static_cast<double>(size[i]) * factor));
        if (!params.at("recompute_scale_factor").get<bool>())
            options.scaleFactors = Vec3{factor, factor, dimensions == 3 ? factor : 1.0};
    }
    const auto result = resizeTorch(volume, size, options);
    expectNear(result, entry.output("result"), entry.tolerance());
    // The public slice functions are the half-pixel modes of the same library.
    if (dimensions == 2 && params.contains("size") && !options.alignCorners && !options.antialias) {
        Volume<float> slice(result.geometry());
        if (options.mode == TorchResize::Linear)
            resizeBilinear(SliceView<const float>(volume.slice(0)), slice.slice(0));
        else if (options.mode == TorchResize::NearestExact)
            resizeNearest(SliceView<const float>(volume.slice(0)), slice.slice(0));
        else
            return;
        expectNear(slice, entry.output("result"), entry.tolerance());
    }
});

GridSampleOptions sampleOptions(const Entry& entry) {
    const std::string mode = entry.params().at("mode"), padding = entry.params().at("padding_mode");
    GridSampleOptions options;
    options.alignCorners = entry.params().at("align_corners");
    if (mode == "nearest")
        options.mode = GridSampleMode::Nearest;
    else if (mode == "bicubic")
        options.mode = GridSampleMode::Cubic;
    else if (mode != "bilinear")
        throw std::runtime_error("unknown mode '" + mode + "'");
    if (padding == "border")
        options.padding = GridPadding::Border;
    else if (padding == "reflection")
        options.padding = GridPadding::Reflection;
    else if (padding != "zeros")
        throw std::runtime_error("unknown padding '" + padding + "'");
    return options;
}

const Registration gridSampling("torch_grid_sample", [](const Entry& entry) {
    const NpyArray array = entry.input(1);
    const auto values = array.toDoubles();
    const auto dimensions = static_cast<std::size_t>(array.shape.back());
    std::vector<std::array<float, 3>> grid(values.size() / dimensions, std::array<float, 3>{});
    for (std::size_t i = 0; i < values.size(); ++i)
        grid[i / dimensions][i % dimensions] = static_cast<float>(values[i]);
    const auto result = gridSample(volumeOf<float>(entry.input(0)), grid, sampleOptions(entry));
    expectNear(toDoubles(std::span<const float>(result)), entry.output("result").toDoubles(), entry.tolerance());
});

const Registration affineSampling("torch_affine_grid_sample", [](const Entry& entry) {
    const auto theta = entry.params().at("theta").get<std::array<std::array<double, 3>, 2>>();
    const auto size = entry.params().at("size").get<std::array<std::int64_t, 2>>();
    const auto grid = affineGrid(theta, size[1], size[0], entry.params().at("align_corners"));
    std::vector<double> flat;
    for (const auto& p : grid) flat.insert(flat.end(), p.begin(), p.begin() + 2);
    expectNear(flat, entry.output("grid").toDoubles(), entry.tolerance());
    const auto result = gridSample(volumeOf<float>(entry.input(0)), grid, sampleOptions(entry));
    expectNear(toDoubles(std::span<const float>(result)), entry.output("result").toDoubles(), entry.tolerance());
});

bool isExactInOpenCv(const std::string& name, std::int64_t n, std::int64_t m, std::int64_t n2, std::int64_t m2) {
    if (name == "INTER_AREA") return n % m == 0 && n2 % m2 == 0;
    return name.starts_with("INTER_NEAREST") || name == "INTER_LINEAR_EXACT";
}

template <typename T>
void resizeAndCompare(const Entry& entry, const NpyArray& array) {
    const auto& params = entry.params();
    const std::string name = params.at("interpolation");
    const int channels = array.shape.size() == 3 ? static_cast<int>(array.shape[2]) : 1;
    const std::int64_t height = array.shape[0], width = array.shape[1];
    const std::int64_t outWidth = params.at("dsize_width"), outHeight = params.at("dsize_height");
    std::vector<T> out(static_cast<std::size_t>(outWidth * outHeight * channels));
    resizeOpenCv(PixelView<const T>{array.as<T>(), width, height, channels}, openCvResizeFromName(name),
                 PixelView<T>{out.data(), outWidth, outHeight, channels});
    Tolerance tolerance = entry.tolerance();
    const std::string text = entry.json.at("tolerance");
    if (text.starts_with("exact") && text.find("+-1") != std::string::npos)
        tolerance.absolute = isExactInOpenCv(name, width, outWidth, height, outHeight) ? 0 : 1;
    if (params.contains("subsample_step")) {
        const std::int64_t step = params.at("subsample_step");
        expectNear(subsample(out.data(), outWidth, outHeight, step),
                   entry.output(fmt::format("result_every_{}th", step)).toDoubles(), tolerance);
        double sum = 0;
        for (const T v : out) sum += v;
        EXPECT_NEAR(sum / static_cast<double>(out.size()), entry.expected().at("mean"), 0.05);
    } else {
        expectNear(toDoubles(std::span<const T>(out)), entry.output("result").toDoubles(), tolerance);
    }
}

const Registration openCv("cv2_resize", [](const Entry& entry) {
    const NpyArray array = entry.input(0);
    if (array.type == NpyType::U8)
        resizeAndCompare<std::uint8_t>(entry, array);
    else
        resizeAndCompare<float>(entry, array);
});

const Registration warp("cv2_warpAffine", [](const Entry& entry) {
    const std::string interpolation = entry.params().at("interpolation"), border = entry.params().at("border");
    const auto kind = interpolation == "INTER_NEAREST"  ? WarpInterpolation::Nearest
                      : interpolation == "INTER_LINEAR" ? WarpInterpolation::Linear
                                                        : WarpInterpolation::Cubic;
    ASSERT_TRUE(kind != WarpInterpolation::Cubic || interpolation == "INTER_CUBIC") << interpolation;
    ASSERT_TRUE(border == "CONSTANT" || border == "REPLICATE") << border;
    const auto image = volumeOf<std::uint8_t>(entry.input(0));
    Volume<std::uint8_t> out(image.geometry());
    warpAffine(image.slice(0), entry.params().at("matrix").get<std::array<std::array<double, 3>, 2>>(), kind,
               border == "CONSTANT" ? WarpBorder::Constant : WarpBorder::Replicate, 0, out.slice(0));
    const auto expected = entry.output("result").toDoubles();
    ASSERT_EQ(static_cast<std::size_t>(out.voxelCount()), expected.size());
    double sum = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) sum += std::abs(out.data()[i] - expected[i]);
    EXPECT_LT(sum / static_cast<double>(expected.size()), 1);
});

}  // namespace
}  // namespace medseg::parity
