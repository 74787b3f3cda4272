#include "medseg/metrics/evaluation.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "io/temporary_folder.h"
#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

using testing::HasSubstr;

/// A row of voxels along x, 1 x 1 x 2 mm.
LabelMap row(const std::vector<int>& voxels, LabelTable table = {}) {
    Volume<std::uint8_t> volume(Geometry::axisAligned({static_cast<std::int64_t>(voxels.size()), 1, 1}, {1, 1, 2}));
    for (std::size_t i = 0; i < voxels.size(); ++i) volume.data()[i] = static_cast<std::uint8_t>(voxels[i]);
    return LabelMap(std::move(volume), std::move(table));
}

class Evaluation : public ::testing::Test {
  protected:
    void write(const std::string& name, const std::vector<int>& voxels, LabelTable table = {}) const {
        createDirectories((folder_.path() / name).parent_path());
        writeLabelMap(folder_.path() / name, row(voxels, std::move(table)));
    }
    EvaluationRequest request(const std::vector<std::string>& metrics = {"dice"}) const {
        EvaluationRequest request;
        request.reference = folder_.path() / "ref";
        request.prediction = folder_.path() / "pred";
        request.metrics = metrics;
        return request;
    }
    static double valueOf(const EvaluationSummary& summary, const std::string& caseName, const std::string& structure,
                          const std::string& metric = "dice") {
        for (const CaseEvaluation& one : summary.cases)
            for (const StructureMeasure& measure : one.structures)
                if (one.name == caseName && measure.structure == structure)
                    return measure.values[*summary.metricIndex(metric)];
        ADD_FAILURE() << caseName << " " << structure << " is not in the result";
        return 0;
    }
    static const StructureSummary& structure(const EvaluationSummary& summary, const std::string& name) {
        for (const StructureSummary& one : summary.structures)
            if (one.structure == name) return one;
        throw std::runtime_error(name + " is not in the summary");
    }

    TemporaryFolder folder_;
};

TEST_F(Evaluation, NaNRules) {
    // Label 1: in both. Label 2: case a neither, case b only in the prediction. Label 3: only in the reference of a.
    write("ref/a.nii.gz", {1, 1, 1, 0, 0, 3});
    write("pred/a.nii.gz", {1, 1, 0, 0, 0, 0});
    write("ref/b.nii.gz", {1, 0, 0, 0, 0, 0});
    write("pred/b.nii.gz", {1, 0, 0, 2, 2, 0});
    const EvaluationSummary summary = evaluate(request({"dice", "iou", "hd95", "nsd"}));
    EXPECT_DOUBLE_EQ(valueOf(summary, "a", "label_1"), 0.8);
    EXPECT_TRUE(std::isnan(valueOf(summary, "a", "label_2")));
    EXPECT_TRUE(std::isnan(valueOf(summary, "a", "label_2", "hd95")));
    EXPECT_EQ(valueOf(summary, "b", "label_2"), 0);
    EXPECT_EQ(valueOf(summary, "a", "label_3"), 0);
    EXPECT_TRUE(std::isinf(valueOf(summary, "a", "label_3", "hd95")));
    EXPECT_EQ(valueOf(summary, "a", "label_3", "nsd"), 0);

    const StructureSummary& two = structure(summary, "label_2");
    EXPECT_EQ(two.statistics[0].mean, 0);  // only case b: NaN of case a takes no part
    EXPECT_EQ(two.statistics[0].count, 1);
    EXPECT_EQ(two.casesWithReference, 0);
    EXPECT_TRUE(std::isnan(two.detectionRates[0]));
    EXPECT_EQ(structure(summary, "label_3").statistics[2].countInfinite, 1);
    EXPECT_DOUBLE_EQ(summary.overStructures[0].mean, (0.9 + 0 + 0) / 3);
    // IoU: label 1 2/3 and 1, label 3 0: thresholds 0.1, 0.25, 0.5, 0.75, 0.9.
    EXPECT_EQ(structure(summary, "label_1").detectionRates, (std::vector<double>{1, 1, 1, 0.5, 0.5}));
    EXPECT_NEAR(summary.detectionRates[0], 2.0 / 3, 1e-15);

    EvaluationRequest one = request({"dice"});
    one.bothEmpty = BothEmpty::One;
    EXPECT_EQ(valueOf(evaluate(one), "a", "label_2"), 1);
}

TEST_F(Evaluation, MissingPredictions) {
    write("ref/a.nii.gz", {1, 1, 0});
    write("ref/b.nii.gz", {1, 0, 0});
    write("pred/a.nii.gz", {1, 1, 0});
    write("pred/other.nii.gz", {1, 1, 0});
    try {
        evaluate(request());
        FAIL();
    } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr("no prediction for 1 of 2 reference cases (b)"));
    }
    EvaluationRequest skip = request();
    skip.missingPrediction = MissingPrediction::Skip;
    const EvaluationSummary skipped = evaluate(skip);
    EXPECT_EQ(skipped.cases.size(), 1U);
    EXPECT_EQ(skipped.missingPredictions, std::vector<std::string>{"b"});
    EXPECT_EQ(skipped.predictionsWithoutReference, std::vector<std::string>{"other"});
    EvaluationRequest empty = request();
    empty.missingPrediction = MissingPrediction::Empty;
    EXPECT_EQ(valueOf(evaluate(empty), "b", "label_1"), 0);
}

TEST_F(Evaluation, NamesDecideWhereBothSidesHaveThem) {
    write("ref/a.nii.gz", {1, 1, 2, 0}, LabelTable::fromNames({"liver", "spleen"}));
    write("pred/a.nii.gz", {2, 2, 1, 1}, LabelTable::fromNames({"spleen", "liver"}));
    const EvaluationSummary summary = evaluate(request());
    EXPECT_EQ(valueOf(summary, "a", "liver"), 1);
    EXPECT_DOUBLE_EQ(valueOf(summary, "a", "spleen"), 2.0 / 3);
    EvaluationRequest selected = request();
    selected.labels = {"spleen"};
    EXPECT_EQ(evaluate(selected).structures.size(), 1U);
    selected.labels = {"spleeen"};
    EXPECT_THROW(evaluate(selected), UsageError);
}

TEST_F(Evaluation, MaskFoldersEqualTheLabelMap) {
    write("ref/s1/segmentations/liver.nii.gz", {1, 1, 0, 0, 0});
    write("ref/s1/segmentations/spleen.nii.gz", {0, 1, 1, 0, 0});  // overlaps the liver
    write("pred/s1/segmentations/liver.nii.gz", {1, 1, 1, 0, 0});
    const EvaluationSummary summary = evaluate(request({"dice", "nsd"}));
    EXPECT_DOUBLE_EQ(valueOf(summary, "s1", "liver"), 0.8);
    EXPECT_EQ(valueOf(summary, "s1", "spleen"), 0);

    write("map/s1.nii.gz", {1, 1, 0, 2, 0}, LabelTable::fromNames({"liver", "spleen"}));
    EvaluationRequest mixed = request();
    mixed.reference = folder_.path() / "map" / "s1.nii.gz";
    mixed.prediction = folder_.path() / "pred" / "s1" / "segmentations";
    EXPECT_DOUBLE_EQ(valueOf(evaluate(mixed), "s1", "liver"), 0.8);
    EXPECT_EQ(valueOf(evaluate(mixed), "s1", "spleen"), 0);
}

TEST_F(Evaluation, NumpyArchives) {
    const std::vector<std::uint8_t> reference{1, 1, 0, 2, 2, 0}, prediction{1, 0, 0, 2, 2, 2};
    const std::vector<double> spacing{1, 2, 3};
    createDirectories(folder_.path() / "ref");
    createDirectories(folder_.path() / "pred");
    const std::vector<std::uint8_t> image(6, 9);
    writeNpz(folder_.path() / "ref" / "c.npz", {{"gts", NpyArray::of<std::uint8_t>({1, 2, 3}, reference.data())},
                                                {"imgs", NpyArray::of<std::uint8_t>({1, 2, 3}, image.data())},
                                                {"spacing", NpyArray::of<double>({3}, spacing.data())}});
    writeNpz(folder_.path() / "pred" / "c.npz", {{"segs", NpyArray::of<std::uint8_t>({1, 2, 3}, prediction.data())},
                                                 {"spacing", NpyArray::of<double>({3}, spacing.data())}});
    const EvaluationSummary summary = evaluate(request({"dice", "volume_reference_ml"}));
    EXPECT_DOUBLE_EQ(valueOf(summary, "c", "label_1"), 2.0 / 3);
    EXPECT_DOUBLE_EQ(valueOf(summary, "c", "label_2"), 0.8);
    EXPECT_DOUBLE_EQ(valueOf(summary, "c", "label_1", "volume_reference_ml"), 0.012);
}

TEST_F(Evaluation, DifferentGeometriesAreRefused) {
    write("ref/a.nii.gz", {1, 1, 0});
    write("pred/a.nii.gz", {1, 1, 0, 0});
    try {
        evaluate(request());
        FAIL();
    } catch (const DataError& error) {
        EXPECT_THAT(error.what(), HasSubstr("3x1x1"));
        EXPECT_THAT(error.what(), HasSubstr("4x1x1"));
    }
    createDirectories(folder_.path() / "wide");
    Volume<std::uint8_t> wide(Geometry::axisAligned({3, 1, 1}, {1.5, 1, 2}), 1);
    writeLabelMap(folder_.path() / "wide" / "a.nii.gz", LabelMap(std::move(wide)));
    EvaluationRequest spacing = request();
    spacing.prediction = folder_.path() / "wide";
    EXPECT_THROW(evaluate(spacing), DataError);
}

TEST_F(Evaluation, VoxelsThatAreNoLabelsAreRefused) {
    write("ref/a.nii.gz", {1, 1, 0});
    createDirectories(folder_.path() / "pred");
    for (const float value : {std::nanf(""), -1.0F, 0.5F, 70000.0F}) {
        Volume<float> volume(Geometry::axisAligned({3, 1, 1}, {1, 1, 2}), value);
        writeImage(folder_.path() / "pred" / "a.nii.gz", AnyVolume(std::move(volume)));
        EXPECT_THROW(evaluate(request()), DataError) << value;
    }
}

TEST_F(Evaluation, WrongRequests) {
    write("ref/a.nii.gz", {1, 1, 0});
    write("pred/a.nii.gz", {1, 1, 0});
    EXPECT_THROW(evaluate(request({"dise"})), UsageError);
    EXPECT_THROW(evaluate(request({"hd101"})), UsageError);
    EXPECT_THROW(evaluate(request({"nsd_-1mm"})), UsageError);
    EvaluationRequest tolerance = request();
    tolerance.nsdTolerance = -1;
    EXPECT_THROW(evaluate(tolerance), UsageError);
    EvaluationRequest threshold = request();
    threshold.iouThresholds = {0};
    EXPECT_THROW(evaluate(threshold), UsageError);
    EvaluationRequest missing = request();
    missing.reference = folder_.path() / "nothing";
    EXPECT_THROW(evaluate(missing), DataError);
    createDirectories(folder_.path() / "empty");
    missing.reference = folder_.path() / "empty";
    EXPECT_THROW(evaluate(missing), DataError);
}

TEST_F(Evaluation, ComparesTwoPredictions) {
    for (int i = 0; i < 6; ++i) {
        const std::string name = "case" + std::to_string(i) + ".nii.gz";
        write("ref/" + name, {1, 1, 1, 1, 1, 1, 1, 1});
        std::vector<int> worse(8, 1), better(8, 1);
        for (int k = 0; k <= i; ++k) worse[k] = 0;
        for (int k = 0; k < i; ++k) better[k] = 0;
        write("pred/" + name, worse);
        write("pred2/" + name, better);
    }
    EvaluationRequest compared = request();
    compared.comparison = folder_.path() / "pred2";
    const EvaluationSummary summary = evaluate(compared);
    ASSERT_EQ(summary.comparison.size(), 3U);
    const PairedComparison& dice = summary.comparison[2].metrics[0];
    EXPECT_EQ(dice.better, 6);
    EXPECT_GT(dice.difference.mean, 0);
    EXPECT_DOUBLE_EQ(dice.test.pValue, 0.03125);  // 2 / 2^6
}

TEST_F(Evaluation, RanksMergeToTheSameResult) {
    for (int i = 0; i < 5; ++i) {
        const std::string name = "case" + std::to_string(i) + ".nii.gz";
        write("ref/" + name, {1, 1, 1, 0, i < 2 ? 2 : 0, 0});
        write("pred/" + name, {1, 1, i % 2, 0, 2, 0});
    }
    EvaluationRequest whole = request({"dice", "hd95", "nsd"});
    whole.output = folder_.path() / "whole";
    evaluate(whole);
    EvaluationRequest part = whole;
    part.output = folder_.path() / "parts";
    part.worldSize = 2;
    part.rank = 1;
    EXPECT_FALSE(evaluate(part).isComplete);
    EXPECT_FALSE(std::filesystem::exists(part.output / "summary.json"));
    part.rank = 0;
    EXPECT_TRUE(evaluate(part).isComplete);
    for (const char* file : {"per_case.csv", "per_structure.csv", "summary.json"})
        EXPECT_EQ(readTextFile(whole.output / file), readTextFile(part.output / file)) << file;
    std::filesystem::remove(part.output / "summary.json");
    part.mergeOnly = true;
    EXPECT_TRUE(evaluate(part).isComplete);
    EXPECT_TRUE(std::filesystem::exists(part.output / "summary.json"));
    // Shards of another request are not merged.
    part.metrics = {"dice"};
    EXPECT_FALSE(evaluate(part).isComplete);
}

TEST_F(Evaluation, SummaryFileFollowsNnunet) {
    write("ref/a.nii.gz", {1, 1, 1, 0, 2, 0});
    write("pred/a.nii.gz", {1, 1, 0, 0, 0, 0});
    EvaluationRequest written = request({"dice", "hd95"});
    written.output = folder_.path() / "out";
    evaluate(written);
    const nlohmann::json json = nlohmann::json::parse(readTextFile(written.output / "summary.json"));
    EXPECT_DOUBLE_EQ(json.at("mean").at("1").at("Dice").get<double>(), 0.8);
    EXPECT_EQ(json.at("mean").at("2").at("FN").get<double>(), 1);
    EXPECT_DOUBLE_EQ(json.at("foreground_mean").at("Dice").get<double>(), 0.4);
    EXPECT_EQ(json.at("metric_per_case").at(0).at("metrics").at("1").at("TP"), 2);
    EXPECT_EQ(json.at("metric_per_case").at(0).at("metrics").at("2").at("hd95"), "Infinity");
    EXPECT_TRUE(json.at("mean").at("2").at("hd95").is_null());
}

}  // namespace
}  // namespace medseg
