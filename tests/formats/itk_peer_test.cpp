// ITK reads what medseg writes and writes what medseg reads: the same values at the same places in the patient.
#include <functional>

#include <itkGDCMImageIO.h>
#include <itkGDCMSeriesFileNames.h>
#include <itkImage.h>
#include <itkImageFileReader.h>
#include <itkImageFileWriter.h>
#include <itkImageRegionIterator.h>
#include <itkImageSeriesReader.h>
#include <itkMetaImageIO.h>
#include <itkNiftiImageIO.h>
#include <itkNrrdImageIO.h>

#include "io/sample_volumes.h"
#include "io/temporary_folder.h"
#include "medseg/io/image_file.h"
#include "parity/data/fixture.h"

namespace medseg {
namespace {

using Image = itk::Image<short, 3>;

itk::ImageIOBase::Pointer ioFor(const std::string& name) {
    if (name.ends_with(".nrrd") || name.ends_with(".nhdr")) return itk::NrrdImageIO::New().GetPointer();
    if (name.ends_with(".nii") || name.ends_with(".nii.gz")) return itk::NiftiImageIO::New().GetPointer();
    return itk::MetaImageIO::New().GetPointer();
}

/// ITK counts to the left and posterior.
Vec3 placeOf(const Image& image, const Index3& voxel) {
    Image::PointType point;
    image.TransformIndexToPhysicalPoint({{voxel[0], voxel[1], voxel[2]}}, point);
    return {-point[0], -point[1], point[2]};
}

void expectSame(const Image& itk, const StoredImage& ours, double tolerance) {
    const auto& volume = std::get<Volume<std::int16_t>>(ours.voxels);
    const auto size = itk.GetLargestPossibleRegion().GetSize();
    ASSERT_EQ(volume.size(), (Index3{static_cast<std::int64_t>(size[0]), static_cast<std::int64_t>(size[1]),
                                     static_cast<std::int64_t>(size[2])}));
    EXPECT_TRUE(std::equal(volume.voxels().begin(), volume.voxels().end(), itk.GetBufferPointer()));
    for (const Index3 voxel : {Index3{0, 0, 0}, Index3{volume.nx() - 1, 0, 0}, Index3{0, volume.ny() - 1, 0},
                               Index3{1, 1, volume.nz() - 1}}) {
        const Vec3 expected = placeOf(itk, voxel);
        const Vec3 place = volume.geometry().voxelToWorld(
            {static_cast<double>(voxel[0]), static_cast<double>(voxel[1]), static_cast<double>(voxel[2])});
        for (std::size_t axis = 0; axis < 3; ++axis) EXPECT_NEAR(place[axis], expected[axis], tolerance);
    }
}

class ItkPeer : public testing::TestWithParam<const char*> {};

TEST_P(ItkPeer, readsOurFiles) {
    const TemporaryFolder folder;
    const auto path = folder.path() / (std::string("image") + GetParam());
    writeImage(path, numbered<std::int16_t>(obliqueGeometry({17, 13, 11})));
    auto reader = itk::ImageFileReader<Image>::New();
    reader->SetFileName(path.string());
    reader->SetImageIO(ioFor(path.string()));
    reader->Update();
    expectSame(*reader->GetOutput(), readStoredImage(path), 1e-4);
}

TEST_P(ItkPeer, writesFilesWeRead) {
    const TemporaryFolder folder;
    auto image = Image::New();
    image->SetRegions(Image::SizeType{{9, 8, 7}});
    image->Allocate();
    short value = 0;
    for (itk::ImageRegionIterator<Image> it(image, image->GetLargestPossibleRegion()); !it.IsAtEnd(); ++it)
        it.Set(value++);
    const double spacing[] = {0.7, 1.3, 2.9}, origin[] = {-11, 22, 33.5};
    image->SetSpacing(spacing);
    image->SetOrigin(origin);
    Image::DirectionType direction;  // a turn about z and a flip
    const double c = std::cos(0.4), s = std::sin(0.4);
    const double rows[3][3] = {{c, -s, 0}, {s, c, 0}, {0, 0, -1}};
    for (unsigned row = 0; row < 3; ++row)
        for (unsigned column = 0; column < 3; ++column) direction[row][column] = rows[row][column];
    image->SetDirection(direction);
    for (const bool compressed : {false, true}) {
        const auto path = folder.path() / (std::string("image") + GetParam());
        auto writer = itk::ImageFileWriter<Image>::New();
        writer->SetFileName(path.string());
        writer->SetImageIO(ioFor(path.string()));
        writer->SetUseCompression(compressed);
        writer->SetInput(image);
        writer->Update();
        expectSame(*image, readStoredImage(path), 1e-4);
    }
}

INSTANTIATE_TEST_SUITE_P(Endings, ItkPeer, testing::Values(".nrrd", ".nhdr", ".mha", ".mhd", ".nii.gz"));

TEST(ItkPeer, readsTheSameDicomSeries) {
    MEDSEG_REQUIRE_FIXTURE(folder, "data/totalsegmentator/example_ct_dicom");
    const StoredImage ours = readStoredImage(folder);  // first: ITK's threads forbid the copy of the process afterwards
    auto names = itk::GDCMSeriesFileNames::New();
    names->SetDirectory(folder.string());
    auto reader = itk::ImageSeriesReader<Image>::New();
    reader->SetImageIO(itk::GDCMImageIO::New());
    reader->SetFileNames(names->GetFileNames(names->GetSeriesUIDs().front()));
    reader->Update();
    expectSame(*reader->GetOutput(), ours, 1e-4);
}

}  // namespace
}  // namespace medseg
