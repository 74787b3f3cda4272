#include "medseg/io/nifti.h"

#include <cmath>

#include <gmock/gmock.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"
#include "medseg/io/label_xml.h"
#include "medseg/io/nifti_orientation.h"
#include "sample_volumes.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

constexpr double kFloat32 = 1e-5;  // relative precision of affines in NIfTI-1 headers

template <typename T>
class NiftiTypes : public testing::Test {};
using VoxelTypes = testing::Types<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                                  std::uint64_t, std::int64_t, float, double>;
TYPED_TEST_SUITE(NiftiTypes, VoxelTypes);

TYPED_TEST(NiftiTypes, comeBackFromEveryEnding) {
    const TemporaryFolder folder;
    const Volume<TypeParam> volume = numbered<TypeParam>(obliqueGeometry({7, 5, 3}));
    for (const char* ending : {".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz"}) {
        SCOPED_TRACE(ending);
        const auto path = folder.path() / (std::string("image") + ending);
        writeImage(path, volume.clone());
        const StoredImage image = readStoredImage(path);
        const auto* read = std::get_if<Volume<TypeParam>>(&image.voxels);
        ASSERT_NE(read, nullptr) << image.header.storedType;
        EXPECT_TRUE(read->geometry().matches(volume.geometry(), kFloat32 * 100));
        EXPECT_TRUE(std::equal(volume.voxels().begin(), volume.voxels().end(), read->voxels().begin()));
        std::filesystem::remove_all(folder.path());
    }
}

TEST(Nifti, qformAgreesWithSform) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "a.nii";
    const Geometry geometry = obliqueGeometry({4, 3, 2});
    writeImage(path, Volume<float>(geometry, 1.f));
    const MappedFile file(path);
    std::vector<std::uint8_t> bytes(file.bytes().begin(), file.bytes().end());
    bytes[254] = 0;  // sform_code
    const Geometry fromQform = readImageHeader(folder.write("b.nii", bytes)).geometry;
    EXPECT_TRUE(fromQform.matches(geometry, 1e-4)) << fromQform.describe();
    bytes[252] = 0;  // qform_code: voxel sizes around the centre remain, x to the left
    const Geometry plain = readImageHeader(folder.write("c.nii", bytes)).geometry;
    EXPECT_EQ(plain.orientation(), "LAS");
    EXPECT_NEAR(plain.affine()[0][3], 0.9 * 1.5, 1e-5);
    EXPECT_NEAR(plain.affine()[1][3], -1.1, 1e-5);
}

TEST(Nifti, shearedAxesHaveNoQform) {
    Affine affine = identityAffine();
    affine[0][1] = 0.2;
    EXPECT_FALSE(quaternionFromAffine(affine));
    EXPECT_TRUE(quaternionFromAffine(identityAffine()));
}

TEST(Nifti, longVolumesBecomeNifti2) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "long.nii.gz";
    const Volume<std::uint8_t> volume = numbered<std::uint8_t>(Geometry({40000, 1, 1}, identityAffine()));
    writeImage(path, volume.clone());
    const StoredImage image = readStoredImage(path);
    EXPECT_EQ(image.header.format, "NIfTI-2");
    EXPECT_EQ(geometryOf(image.voxels).nx(), 40000);
}

TEST(Nifti, labelNamesAndColoursComeBack) {
    const TemporaryFolder folder;
    LabelTable table = LabelTable::fromNames({"liver", "a<b & \"c\"", "x]]>y"});
    table.add({300, "vertebra", {1, 2, 3}});
    for (const char* name : {"labels.nii.gz", "labels.hdr"}) {
        const auto path = folder.path() / name;
        Volume<std::uint16_t> voxels(Geometry({3, 3, 3}, identityAffine()), 0);
        voxels.data()[5] = 300;
        writeLabelMap(path, LabelMap(std::move(voxels), table));
        const LabelMap labels = readLabelMap(path);
        ASSERT_EQ(labels.table().size(), 4u);
        EXPECT_EQ(labels.table().nameOf(1), "liver");
        EXPECT_EQ(labels.table().nameOf(2), "a<b & \"c\"");
        EXPECT_EQ(labels.table().findId(300)->color, (Color{1, 2, 3}));
        EXPECT_EQ(labels.at(2, 1, 0), 300);
    }
}

TEST(Nifti, labelXmlOfOtherProgramsIsReadWithCare) {
    EXPECT_TRUE(parseLabelXml("nothing").empty());
    EXPECT_TRUE(parseLabelXml("<LabelTable><Label Key=\"1\">").empty());
    const LabelTable table = parseLabelXml(
        "<LabelTable> <Label Key=\"0\">background</Label><Label Red=\"0.5\" Key=\"2\" Green=\"2\" Blue=\"-1\"> a &amp; "
        "b </Label>"
        "<Label Key=\"2\">twice</Label><Label Key=\"99999999999\">far</Label><Label Key=\"x\">no "
        "number</Label></LabelTable>");
    ASSERT_EQ(table.size(), 1u);
    EXPECT_EQ(table.nameOf(2), "a & b");
    EXPECT_EQ(table.colorOf(2), (Color{128, 255, 0}));
}

class DamagedNifti : public testing::Test {
  protected:
    void SetUp() override {
        writeLabelMap(folder_.path() / "a.nii",
                      LabelMap(numbered<std::uint8_t>(obliqueGeometry({6, 5, 4})), LabelTable::fromNames({"a"})));
        const MappedFile file(folder_.path() / "a.nii");
        bytes_.assign(file.bytes().begin(), file.bytes().end());
    }
    std::string message(const std::vector<std::uint8_t>& bytes) const {
        try {
            readStoredImage(folder_.write("b.nii", bytes));
        } catch (const DataError& error) {
            return error.what();
        }
        return "accepted";
    }
    TemporaryFolder folder_;
    std::vector<std::uint8_t> bytes_;
};

TEST_F(DamagedNifti, everyTruncationIsAnError) {
    for (std::size_t size = 0; size < bytes_.size(); size += size < 360 ? 12 : 50)
        EXPECT_THAT(message({bytes_.begin(), bytes_.begin() + static_cast<long>(size)}),
                    testing::HasSubstr("truncated"))
            << size;
}

TEST_F(DamagedNifti, changedBytesNeverCrash) {
    for (std::size_t at = 0; at < 640; ++at)
        for (const int value : {0, 0x7f, 0x80, 0xff}) {
            auto damaged = bytes_;
            damaged[at] = static_cast<std::uint8_t>(value);
            message(damaged);
        }
}

TEST_F(DamagedNifti, impossibleHeadersAreExplained) {
    using testing::HasSubstr;
    const auto changed = [&](std::size_t at, auto value) {
        auto bytes = bytes_;
        storeNumber(&bytes[at], value);
        return message(bytes);
    };
    EXPECT_THAT(changed(0, 7), HasSubstr("header size"));
    EXPECT_THAT(changed(40, std::int16_t{8}), HasSubstr("dimensions"));
    EXPECT_THAT(changed(42, std::int16_t{0}), HasSubstr("dimension 1 has size 0"));
    EXPECT_THAT(changed(42, std::int16_t{-5}), HasSubstr("size -5"));
    EXPECT_THAT(changed(46, std::int16_t{32767}), HasSubstr("truncated"));
    EXPECT_THAT(changed(70, std::int16_t{128}), HasSubstr("RGB"));
    EXPECT_THAT(changed(70, std::int16_t{32}), HasSubstr("complex64"));
    EXPECT_THAT(changed(70, std::int16_t{1536}), HasSubstr("float128"));
    EXPECT_THAT(changed(70, std::int16_t{999}), HasSubstr("999"));
    EXPECT_THAT(changed(108, NAN), HasSubstr("vox_offset"));
    EXPECT_THAT(changed(116, INFINITY), HasSubstr("scl_inter"));
    EXPECT_THAT(changed(280, NAN), HasSubstr("affine"));
    EXPECT_THAT(changed(344, 'x'), HasSubstr("magic"));
}

TEST(ImageFile, namesAndStems) {
    EXPECT_TRUE(isImageName("a/b.NII.gz"));
    EXPECT_FALSE(isImageName("a/b.txt"));
    EXPECT_EQ(imageStem("x/s0000_0000.nii.gz"), "s0000_0000");
    EXPECT_EQ(imageStem("x/a.b.nii"), "a.b");
    EXPECT_THROW(writeImage("a.jpg", Volume<float>(Geometry(), 0.f)), UsageError);
    EXPECT_THROW(readStoredImage("/nonexistent/a.nii"), DataError);
}

TEST(ImageFile, numpyArraysAreVolumesOfSlices) {
    const TemporaryFolder folder;
    Volume<std::int16_t> volume(Geometry({4, 3, 2}, identityAffine()));
    for (std::int64_t i = 0; i < volume.voxelCount(); ++i) volume.data()[i] = static_cast<std::int16_t>(i);
    for (const char* name : {"a.npy", "a.npz"}) {
        writeImage(folder.path() / name, volume.clone());
        const StoredImage image = readStoredImage(folder.path() / name);
        EXPECT_EQ(image.header.shape, (std::vector<std::int64_t>{4, 3, 2}));
        EXPECT_EQ((std::get<Volume<std::int16_t>>(image.voxels)(3, 1, 1)), 3 + 4 * (1 + 3 * 1));
    }
}

}  // namespace
}  // namespace medseg
