// DICOM segmentations and structure sets as label maps.
#include <gmock/gmock.h>

#include "dicom_writer.h"
#include "io/temporary_folder.h"
#include "medseg/io/image_file.h"
#include "medseg/metrics/evaluation.h"
#include "refusal.h"

namespace medseg {
namespace {

using test::Elements;
using testing::AllOf;
using testing::HasSubstr;

std::string refusal(const std::filesystem::path& path, const ReadOptions& options = {}) {
    return test::refusalOf([&] { readLabelMap(path, options); });
}

/// 3 x 3 pixels a frame: 9 bits, so that frames do not begin at whole bytes.
struct SegmentFrame {
    int segment = 1;
    double z = 0;
    std::array<int, 9> bits{};
};

Elements segmentItem(int number, const std::string& label, const std::vector<std::uint16_t>& lab) {
    Elements item;
    item.shorts(0x0062, 0x0004, {static_cast<std::uint16_t>(number)}).text(0x0062, 0x0005, label);
    if (!lab.empty()) item.shorts(0x0062, 0x000d, lab);
    return item;
}

/// Everything but the pixels and their type.
Elements segmentationElements(const std::vector<SegmentFrame>& frames) {
    std::vector<Elements> groups;
    for (const SegmentFrame& frame : frames) {
        Elements position, identification, group;
        position.numbers(0x0020, 0x0032, {10, 20, frame.z});
        identification.shorts(0x0062, 0x000b, {static_cast<std::uint16_t>(frame.segment)});
        group.sequence(0x0020, 0x9113, {position}).sequence(0x0062, 0x000a, {identification});
        groups.push_back(group);
    }
    Elements orientation, measures, shared, all;
    orientation.numbers(0x0020, 0x0037, {1, 0, 0, 0, 1, 0});
    measures.numbers(0x0028, 0x0030, {2, 2}).numbers(0x0018, 0x0050, {3}).numbers(0x0018, 0x0088, {3});
    shared.sequence(0x0020, 0x9116, {orientation}).sequence(0x0028, 0x9110, {measures});
    all.text(0x0008, 0x0060, "SEG")
        .text(0x0020, 0x000e, "1.2.3.5")
        .shorts(0x0028, 0x0002, {1})
        .text(0x0028, 0x0004, "MONOCHROME2")
        .text(0x0028, 0x0008, std::to_string(frames.size()))
        .shorts(0x0028, 0x0010, {3})
        .shorts(0x0028, 0x0011, {3})
        .shorts(0x0028, 0x0103, {0})
        // White, and the red of sRGB: L* 54.29, a* 80.81, b* 69.89 for D50.
        .sequence(0x0062, 0x0002,
                  {segmentItem(1, "liver", {65535, 32896, 32896}), segmentItem(4, "tumour", {35579, 53664, 50857}),
                   segmentItem(5, "tumour", {})})
        .sequence(0x5200, 0x9229, {shared})
        .sequence(0x5200, 0x9230, groups);
    return all;
}

void writeSegmentation(const std::filesystem::path& path, const std::vector<SegmentFrame>& frames) {
    std::vector<std::uint8_t> packed((frames.size() * 9 + 7) / 8, 0);
    for (std::size_t f = 0; f < frames.size(); ++f)
        for (std::size_t i = 0; i < 9; ++i)
            if (frames[f].bits[i] != 0) packed[(f * 9 + i) / 8] |= static_cast<std::uint8_t>(1 << ((f * 9 + i) % 8));
    Elements all = segmentationElements(frames);
    all.shorts(0x0028, 0x0100, {1}).shorts(0x0028, 0x0101, {1}).shorts(0x0028, 0x0102, {0});
    all.text(0x0062, 0x0001, "BINARY").bytes(0x7fe0, 0x0010, packed);
    writeDicom(path, test::kSegmentationClass, "1.2.3.5.6", all);
}

/// Frames whose `bits` are fractions of `maximum`, a byte each.
void writeFractions(const std::filesystem::path& path, const std::vector<SegmentFrame>& frames, int maximum) {
    std::vector<std::uint8_t> bytes;
    for (const SegmentFrame& frame : frames)
        for (const int value : frame.bits) bytes.push_back(static_cast<std::uint8_t>(value));
    Elements all = segmentationElements(frames);
    all.shorts(0x0028, 0x0100, {8}).shorts(0x0028, 0x0101, {8}).shorts(0x0028, 0x0102, {7});
    all.text(0x0062, 0x0001, "FRACTIONAL").text(0x0062, 0x0010, "PROBABILITY");
    all.shorts(0x0062, 0x000e, {static_cast<std::uint16_t>(maximum)}).bytes(0x7fe0, 0x0010, bytes);
    writeDicom(path, test::kSegmentationClass, "1.2.3.5.7", all);
}

TEST(DicomSegmentation, becomesALabelMap) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "seg.dcm";
    // Slices without any segment are left out: 0 and 6 are there, 3 is not.
    writeSegmentation(file, {{4, 6, {0, 0, 0, 0, 0, 0, 0, 1, 1}},
                             {1, 0, {1, 1, 0, 0, 0, 0, 0, 0, 0}},
                             {1, 6, {1, 0, 0, 0, 0, 0, 0, 0, 0}}});
    const LabelMap labels = readLabelMap(file);
    EXPECT_EQ(labels.geometry().size(), (Index3{3, 3, 3}));
    EXPECT_EQ(labels.geometry().voxelToWorld({1, 2, 2}), (Vec3{-12, -24, 6}));
    EXPECT_EQ(labels.at(0, 0, 0), 1);
    EXPECT_EQ(labels.at(1, 0, 0), 1);
    EXPECT_EQ(labels.at(0, 0, 1), 0);
    EXPECT_EQ(labels.at(0, 0, 2), 1);
    EXPECT_EQ(labels.at(1, 2, 2), 4);
    EXPECT_EQ(labels.at(2, 2, 2), 4);
    EXPECT_EQ(labels.countVoxels(), (std::vector<std::int64_t>{22, 3, 0, 0, 2}));
    EXPECT_EQ(labels.table().nameOf(4), "tumour");
    EXPECT_EQ(labels.table().nameOf(5), "tumour_5");
    for (int channel = 0; channel < 3; ++channel) {
        EXPECT_NEAR(labels.table().colorOf(1)[channel], 255, 1);
        EXPECT_NEAR(labels.table().colorOf(4)[channel], channel == 0 ? 255 : 0, 2);
    }
}

TEST(DicomSegmentation, fractionsCountFromHalfOfTheirMaximum) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "seg.dcm";
    const std::vector<SegmentFrame> frames{{1, 0, {0, 1, 99, 100, 101, 200, 0, 0, 0}},
                                           {4, 3, {0, 0, 0, 0, 0, 0, 100, 99, 200}}};
    writeFractions(file, frames, 200);
    const LabelMap labels = readLabelMap(file);
    EXPECT_EQ(labels.countVoxels(), (std::vector<std::int64_t>{13, 3, 0, 0, 2}));
    for (int x = 0; x < 3; ++x) EXPECT_EQ(labels.at(x, 1, 0), 1);
    EXPECT_EQ(labels.at(2, 0, 0), 0);
    EXPECT_EQ(labels.at(0, 2, 1), 4);
    // Half of an odd maximum lies between two values.
    writeFractions(file, {{1, 0, {127, 128, 255, 0, 0, 0, 0, 0, 0}}, {1, 3, {}}}, 255);
    EXPECT_EQ(readLabelMap(file).countVoxels(), (std::vector<std::int64_t>{16, 2}));
    // Segments whose fractions overlap below half do not overlap.
    writeFractions(file, {{1, 0, {90, 200, 0, 0, 0, 0, 0, 0, 0}}, {4, 0, {150, 10, 0, 0, 0, 0, 0, 0, 0}}}, 200);
    const LabelMap both = readLabelMap(file);
    EXPECT_EQ(both.at(0, 0, 0), 4);
    EXPECT_EQ(both.at(1, 0, 0), 1);
}

TEST(DicomSegmentation, overlapsAskForAChoice) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "seg.dcm";
    writeSegmentation(file, {{1, 0, {1, 1, 1, 0, 0, 0, 0, 0, 0}}, {4, 0, {0, 1, 1, 0, 0, 0, 0, 0, 0}}});
    EXPECT_THAT(refusal(file), AllOf(HasSubstr("overlap at 2 voxels"), HasSubstr("\"liver\" and \"tumour\""),
                                     HasSubstr("--segments")));
    for (const char* name : {"tumour", "4"}) {
        ReadOptions options;
        options.segments = {name};
        EXPECT_EQ(readLabelMap(file, options).countVoxels(), (std::vector<std::int64_t>{7, 0, 0, 0, 2}));
    }
    ReadOptions unknown;
    unknown.segments = {"spleen"};
    EXPECT_THAT(refusal(file, unknown), AllOf(HasSubstr("\"spleen\""), HasSubstr("1 \"liver\"")));
}

TEST(DicomSegmentation, goesOntoTheGridOfItsImage) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "seg.dcm";
    writeSegmentation(file, {{1, 3, {1, 0, 0, 0, 0, 0, 0, 0, 0}}});
    EXPECT_EQ(readLabelMap(file).geometry().nz(), 1);
    Affine affine = identityAffine();
    affine[0] = {-2, 0, 0, -10};
    affine[1] = {0, -2, 0, -20};
    affine[2] = {0, 0, 3, -3};
    ReadOptions options;
    options.reference = folder.path() / "image.nii";
    writeImage(options.reference, Volume<std::uint8_t>(Geometry({3, 3, 5}, affine), 0));
    const LabelMap labels = readLabelMap(file, options);
    EXPECT_EQ(labels.geometry().nz(), 5);
    EXPECT_EQ(labels.at(0, 0, 2), 1);
    affine[0][3] = -9;
    writeImage(options.reference, Volume<std::uint8_t>(Geometry({3, 3, 5}, affine), 0));
    EXPECT_THAT(refusal(file, options), HasSubstr("does not lie on the grid"));
}

TEST(DicomSegmentation, isEvaluatedOnTheGridOfTheReference) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "case.dcm";
    // Two frames of a reference of five slices whose rows run the other way.
    writeSegmentation(file, {{1, 3, {1, 1, 0, 0, 0, 0, 0, 0, 0}}, {1, 6, {1, 0, 0, 0, 0, 0, 0, 0, 0}}});
    Affine affine = identityAffine();
    affine[0] = {2, 0, 0, -14};
    affine[1] = {0, 2, 0, -24};
    affine[2] = {0, 0, 3, -3};
    Volume<std::uint8_t> reference(Geometry({3, 3, 5}, affine), 0);
    reference(2, 2, 2) = reference(2, 2, 3) = 1;
    const auto other = folder.path() / "case.nii.gz";
    writeLabelMap(other, LabelMap(std::move(reference), LabelTable::fromNames({"liver"})));
    for (const bool segmentationIsReference : {false, true}) {
        EvaluationRequest request;
        request.reference = segmentationIsReference ? file : other;
        request.prediction = segmentationIsReference ? other : file;
        request.output = folder.path() / "out";
        request.metrics = {"dice"};
        const EvaluationSummary summary = evaluate(request);
        ASSERT_EQ(summary.cases.size(), 1U);
        ASSERT_EQ(summary.cases[0].structures.size(), 1U);
        EXPECT_EQ(summary.cases[0].structures[0].structure, "liver");
        EXPECT_DOUBLE_EQ(summary.cases[0].structures[0].iou, 2.0 / 3);
    }
}

Elements contour(const std::vector<double>& points) {
    Elements item;
    item.text(0x3006, 0x0042, "CLOSED_PLANAR").numbers(0x3006, 0x0050, points);
    return item;
}

/// A square between (x0, y0) and (x1, y1) on slice z, LPS.
Elements square(double x0, double y0, double x1, double y1, double z) {
    return contour({x0, y0, z, x1, y0, z, x1, y1, z, x0, y1, z});
}

void writeStructures(const std::filesystem::path& path) {
    const auto region = [](int number, const char* name) {
        Elements item;
        item.numbers(0x3006, 0x0022, {static_cast<double>(number)}).text(0x3006, 0x0026, name);
        return item;
    };
    const auto contours = [](int number, const std::vector<Elements>& items) {
        Elements entry;
        entry.numbers(0x3006, 0x002a, {0, 128, 255}).sequence(0x3006, 0x0040, items);
        entry.numbers(0x3006, 0x0084, {static_cast<double>(number)});
        return entry;
    };
    Elements series, study, frame, all;
    series.text(0x0020, 0x000e, "1.2.3.1");
    study.sequence(0x3006, 0x0014, {series});
    frame.sequence(0x3006, 0x0012, {study});
    all.text(0x0008, 0x0060, "RTSTRUCT")
        .text(0x0020, 0x000e, "1.2.3.8")
        .sequence(0x3006, 0x0010, {frame})
        .sequence(0x3006, 0x0020, {region(2, "ring"), region(3, "body"), region(7, "empty")})
        .sequence(0x3006, 0x0039,
                  {contours(2, {square(-0.5, -0.5, 4.5, 4.5, 2.5), square(0.5, 0.5, 3.5, 3.5, 2.5)}),
                   contours(3, {square(1.6, 1.6, 2.4, 9, 2.5), square(0, 0, 99, 99, 5)})});
    writeDicom(path, test::kStructureSetClass, "1.2.3.8.1", all);
}

/// The image of the structure set: 10 x 8 pixels of 1 mm, slices 2.5 mm apart.
void writeReference(const std::filesystem::path& folder) {
    for (int k = 0; k < 3; ++k) {
        test::Slice slice;
        slice.columns = 10;
        slice.rows = 8;
        slice.columnSpacing = slice.rowSpacing = 1;
        slice.position[2] = 2.5 * k;
        writeSlice(folder / std::to_string(k), slice);
    }
}

TEST(DicomStructureSet, contoursAreFilledEvenOdd) {
    const TemporaryFolder folder;
    std::filesystem::create_directories(folder.path() / "image");
    writeReference(folder.path() / "image");
    const auto file = folder.path() / "structures.dcm";
    writeStructures(file);
    EXPECT_THAT(refusal(file), AllOf(HasSubstr("--reference"), HasSubstr("1.2.3.1")));
    ReadOptions options;
    options.reference = folder.path() / "image";
    options.segments = {"ring"};
    const LabelMap ring = readLabelMap(file, options);
    EXPECT_EQ(ring.geometry().size(), (Index3{10, 8, 3}));
    // 5 x 5 pixel centres inside the outer square, 3 x 3 inside the inner one.
    EXPECT_EQ(ring.countVoxels(), (std::vector<std::int64_t>{240 - 16, 0, 16}));
    EXPECT_EQ(ring.at(0, 0, 1), 2);
    EXPECT_EQ(ring.at(2, 2, 1), 0);
    EXPECT_EQ(ring.table().nameOf(2), "ring");
    EXPECT_EQ(ring.table().colorOf(2), (Color{0, 128, 255}));
    options.segments = {"body"};
    const LabelMap body = readLabelMap(file, options);
    EXPECT_EQ(body.at(2, 7, 1), 3);
    EXPECT_EQ(body.at(2, 1, 1), 0);
    EXPECT_EQ(body.countVoxels()[3], 6 + 80);  // the second contour reaches beyond the image
    options.segments = {};
    EXPECT_THAT(refusal(file, options), HasSubstr("overlap"));
}

TEST(DicomStructureSet, findsItsImageInTheSameFolder) {
    const TemporaryFolder folder;
    writeReference(folder.path());
    writeStructures(folder.path() / "structures.dcm");
    ReadOptions options;
    options.segments = {"ring"};
    EXPECT_EQ(readLabelMap(folder.path() / "structures.dcm", options).countVoxels()[2], 16);
    EXPECT_EQ(readImageHeader(folder.path()).geometry.nz(), 3);  // the image is the one series with images
}

TEST(DicomStructureSet, contoursOfAnotherImageAreRefused) {
    const TemporaryFolder folder;
    writeStructures(folder.path() / "structures.dcm");
    ReadOptions options;
    options.reference = folder.path() / "coronal.nii";
    Affine affine{};
    affine[0][0] = affine[1][2] = affine[2][1] = affine[3][3] = 1;
    writeImage(options.reference, Volume<std::uint8_t>(Geometry({9, 9, 9}, affine), 0));
    EXPECT_THAT(refusal(folder.path() / "structures.dcm", options), HasSubstr("runs across"));
}

}  // namespace
}  // namespace medseg
