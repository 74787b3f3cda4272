// Preparation of cases against the values of <fixtures>/sam3d/06_preprocess.
#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "fixtures.h"
#include "medseg/base/files.h"
#include "medseg/dataset/form_cases.h"
#include "medseg/dataset/sam3d_preparation.h"
#include "medseg/imaging/marching_cubes.h"
#include "medseg/imaging/mesh.h"
#include "medseg/imaging/resample.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

using Json = nlohmann::json;

class Sam3dPreparation : public testing::Test {
  protected:
    void SetUp() override {
        MEDSEG_REQUIRE_FIXTURES("sam3d/06_preprocess");
        config_ = Json::parse(readTextFile(folder() / "config.json"));
        settings_.classes = hyper("classes");
        settings_.spacing = hyper("spacing_mm");
        settings_.axes = hyper("axes").get<std::vector<int>>();
        settings_.minForeground = hyper("min_foreground_ratio");
        std::vector<CaseFailure> problems;
        for (const PipelineCase& item : sam3dCases(findMarkedPairs(folder(), problems)))
            if (item.id == hyper("case_id")) case_ = item;
        ASSERT_EQ(case_.id, hyper("case_id").get<std::string>());
        volume_ = readSam3dVolume(case_.inputs[0], case_.inputs[1], settings_);
    }

    static fs::path folder() { return test::fixtures() / "sam3d/06_preprocess"; }
    const Json& hyper(const char* name) const { return config_.at("hyperparameters").at(name); }
    double tolerance(const char* name) const { return config_.at("tolerance").at(name); }
    static Json json(const char* name) { return Json::parse(readTextFile(folder() / name)); }
    static NpyArray array(const std::string& name) { return readNpy(folder() / (name + ".npy")); }

    template <typename T>
    static void expectValues(const std::vector<T>& actual, const NpyArray& expected, double atol, double rtol) {
        const std::vector<double> wanted = expected.toDoubles();
        ASSERT_EQ(actual.size(), wanted.size());
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const auto value = static_cast<double>(actual[i]);
            if (std::isnan(wanted[i]) ? !std::isnan(value)
                                      : !(std::abs(value - wanted[i]) <= atol + rtol * std::abs(wanted[i])))
                ++wrong;
        }
        EXPECT_EQ(wrong, 0U);
    }
    static void expectVoxels(const std::vector<VoxelIndex>& actual, const NpyArray& expected) {
        std::vector<int> flat;
        for (const VoxelIndex& voxel : actual) flat.insert(flat.end(), voxel.begin(), voxel.end());
        expectValues(flat, expected, 0, 0);
    }

    Json config_;
    Sam3dSettings settings_;
    PipelineCase case_;
    Sam3dVolume volume_;
};

TEST_F(Sam3dPreparation, SlicesHoldImageMaskAndPoints) {
    for (const Json& picked : hyper("picked")) {
        const int axis = picked.at("axis");
        const std::int64_t index = picked.at("slice_idx");
        const std::string prefix = picked.at("prefix");
        SCOPED_TRACE(prefix);
        EXPECT_EQ(sam3dSliceName(case_.id, axis, index), picked.at("file").get<std::string>());
        const Sam3dSlice exact = sam3dSlice(volume_, axis, index, PointmapRule::Exact);
        std::vector<float> image;
        for (int channel = 0; channel < 3; ++channel) image.insert(image.end(), exact.image.begin(), exact.image.end());
        expectValues(image, array(prefix + ".image"), tolerance("atol"), tolerance("rtol"));
        expectValues(exact.mask, array(prefix + ".mask"), 0, 0);
        expectValues(exact.pointmap, array(prefix + ".pointmap_correct"), tolerance("pointmap_atol_mm"), 0);
        const Sam3dSlice legacy = sam3dSlice(volume_, axis, index, PointmapRule::Legacy);
        expectValues(legacy.pointmap, array(prefix + ".pointmap_fork"), tolerance("pointmap_atol_mm"), 0);
    }
}

TEST_F(Sam3dPreparation, KeepsTheSameSlices) {
    std::vector<std::string> names;
    for (const int axis : settings_.axes)
        for (const std::int64_t index : slicesWithForeground(volume_, axis, settings_.minForeground))
            names.push_back(sam3dSliceName(case_.id, axis, index));
    std::vector<std::string> expected = json("slices.json").at("files");
    std::sort(names.begin(), names.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(names, expected);
}

TEST_F(Sam3dPreparation, SignedDistances) {
    const NpyArray squared = array("sdf_signed_squared");
    const std::vector<double> values = squared.toDoubles();
    const auto voxels = static_cast<std::size_t>(volume_.labels.voxelCount());
    const std::vector<int> labels = hyper("sdf_labels");
    for (std::size_t at = 0; at < labels.size(); ++at) {
        const auto distance = labelDistance(volume_.labels, static_cast<std::uint8_t>(labels[at]), DistanceUnit::Voxel);
        ASSERT_LE((at + 1) * voxels, values.size());
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < voxels; ++i) {
            const double value = values[at * voxels + i];
            const double expected = value == 32767 ? kSam3dNoSurface : std::copysign(std::sqrt(std::abs(value)), value);
            if (!(std::abs(distance.data()[i] - expected) <=
                  tolerance("atol") + tolerance("rtol") * std::abs(expected)))
                ++wrong;
        }
        EXPECT_EQ(wrong, 0U) << "label " << labels[at];
    }
    const std::vector<double> statistics = array("sdf_stats").toDoubles();
    for (int label = 1; label <= settings_.classes; ++label) {
        const auto distance = labelDistance(volume_.labels, static_cast<std::uint8_t>(label), DistanceUnit::Voxel);
        const auto [low, high] = std::minmax_element(distance.voxels().begin(), distance.voxels().end());
        double sum = 0, inside = 0;
        for (const float value : distance.voxels()) {
            sum += value;
            inside += value < 0 ? 1 : 0;
        }
        const double* expected = statistics.data() + 4 * (label - 1);
        EXPECT_NEAR(*low, expected[0], tolerance("atol") + tolerance("rtol") * std::abs(expected[0]));
        EXPECT_NEAR(*high, expected[1], tolerance("atol") + tolerance("rtol") * std::abs(expected[1]));
        EXPECT_NEAR(sum / static_cast<double>(voxels), expected[2],
                    tolerance("atol") + tolerance("rtol") * std::abs(expected[2]));
        EXPECT_EQ(inside, expected[3]);
    }
}

TEST_F(Sam3dPreparation, IsotropicGrid) {
    const NpyArray imageArray = array("resample.in_image"), labelArray = array("resample.in_label");
    const std::vector<double> stored = array("resample.in_affine").toDoubles();
    // The fixture's arrays have k contiguous: columns of the affine in reverse order.
    Affine affine = identityAffine();
    for (std::size_t row = 0; row < 3; ++row)
        for (std::size_t column = 0; column < 4; ++column)
            affine[row][column < 3 ? 2 - column : 3] = stored[row * 4 + column];
    const Geometry grid({imageArray.shape[2], imageArray.shape[1], imageArray.shape[0]}, affine);
    Volume<float> image(grid);
    Volume<std::uint8_t> labels(grid);
    const std::vector<double> values = imageArray.toDoubles(), ids = labelArray.toDoubles();
    std::copy(values.begin(), values.end(), image.data());
    std::copy(ids.begin(), ids.end(), labels.data());
    const Geometry target = isotropicGrid(grid, hyper("resample").at("target_mm"));
    const NpyArray expected = array("resample.image");
    ASSERT_EQ(target.size(), (Index3{expected.shape[2], expected.shape[1], expected.shape[0]}));
    const std::vector<double> place = array("resample.affine").toDoubles();
    for (std::size_t row = 0; row < 3; ++row)
        for (std::size_t column = 0; column < 4; ++column)
            EXPECT_NEAR(target.affine()[row][column < 3 ? 2 - column : 3], place[row * 4 + column], tolerance("atol"));
    const Volume<float> result = resampleTo(image, target, Interpolation::Linear);
    expectValues(std::vector<float>(result.voxels().begin(), result.voxels().end()), expected,
                 tolerance("resample_atol"), 0);
    const Volume<std::uint8_t> nearest = resampleLabels(labels, target);
    expectValues(std::vector<std::uint8_t>(nearest.voxels().begin(), nearest.voxels().end()), array("resample.label"),
                 0, 0);
}

TEST_F(Sam3dPreparation, Surfaces) {
    for (const auto& [key, facts] : json("meshes.json").at("labels").items()) {
        SCOPED_TRACE("label " + key);
        const auto label = static_cast<std::uint8_t>(std::stoi(key));
        const auto compare = [&](const Mesh& mesh, const Json& expected, bool closed) {
            const double vertices = expected.at("vertices"), area = expected.at("area_mm2");
            EXPECT_NEAR(static_cast<double>(mesh.vertices.size()), vertices, tolerance("mesh_count_rtol") * vertices);
            EXPECT_NEAR(meshArea(mesh), area, tolerance("mesh_area_rtol") * area);
            // The scripts' triangles face inward.
            const double volume = -expected.at("signed_volume_mm3").get<double>();
            if (closed) {
                EXPECT_NEAR(meshVolume(mesh), volume, tolerance("mesh_volume_rtol") * std::abs(volume));
            }
        };
        compare(extractLabelSurface(volume_.labels, label, {false}), facts.at("lorensen"), false);
        compare(extractLabelSurface(volume_.labels, label, {true}), facts.at("lewiner_padded"), true);
    }
}

TEST_F(Sam3dPreparation, StructureTargets) {
    expectVoxels(shellVoxels(volume_.labels), array("shell_coords"));
    expectVoxels(prunedVoxels(volume_.labels), array("pruned_coords"));
}

TEST_F(Sam3dPreparation, FilesOfACase) {
    const fs::path output = fs::path(testing::TempDir()) / "sam3d_preparation";
    fs::remove_all(output);
    settings_.meshes = true;
    const CasePipelineResult result = runCasePipeline(sam3dForm(settings_, output), {case_}, output);
    ASSERT_TRUE(result.failures.empty()) << result.failures.front().message;
    for (const std::string name : json("slices.json").at("files")) ASSERT_TRUE(fs::exists(output / name)) << name;
    const Json picked = hyper("picked").at(0);
    const NpzFile slice(output / picked.at("file").get<std::string>());
    EXPECT_EQ(slice.read("image").shape.size(), 3U);
    expectValues(slice.read("affine").toDoubles(), array("affine"), tolerance("atol"), 0);
    EXPECT_EQ(slice.read("slice_idx").toDoubles().at(0), picked.at("slice_idx"));
    EXPECT_EQ(slice.read("axis").toDoubles().at(0), picked.at("axis"));
    EXPECT_TRUE(slice.contains("gt_sdf_path"));
    EXPECT_EQ(readNpy(output / (case_.id + "_sdf.npy")).shape.at(0), settings_.classes);
    for (const auto& [key, facts] : json("meshes.json").at("labels").items())
        EXPECT_EQ(fs::exists(output / "meshes" / (case_.id + "_class" + key + ".obj")), facts.at("voxels") >= 100);
    fs::remove_all(output);
}

}  // namespace
}  // namespace medseg
