// Slice files of MedSAM and MedSAM2, and their resizes alone.
#include <gtest/gtest.h>

#include "io/temporary_folder.h"
#include "medseg/base/files.h"
#include "medseg/dataset/medsam_slices.h"
#include "medseg/imaging/resize2d.h"
#include "medseg/imaging/resize_opencv.h"
#include "parity/preprocess/fixture.h"

namespace medseg::parity {
namespace {

using Json = nlohmann::json;

void checkSlices(const Json& item) {
    const MedsamSettings settings = settingsOf(item);
    const MedsamCase prepared = prepareMedsamCase(fixtureRoot() / item.at("image").get<std::string>(),
                                                  fixtureRoot() / item.at("label").get<std::string>(), settings);
    const TemporaryFolder folder;
    createDirectories(folder.path() / "imgs");
    createDirectories(folder.path() / "gts");
    const std::string name = medsamPrefix(settings) + item.at("case_name").get<std::string>();
    for (const std::int64_t slice : item.at("slices"))
        writeMedsamSlice(std::as_const(prepared.images).slice(slice), std::as_const(prepared.labels).slice(slice),
                         settings.form == "medsam2" ? MedsamSliceStyle::Bytes : MedsamSliceStyle::Float,
                         settings.imageSize, folder.path(), name, slice);
    for (const Json& expected : item.at("expected").at("arrays")) {
        SCOPED_TRACE(expected.at("key").dump() + " " + expected.at("output_file").get<std::string>());
        expectArray(readNpy(folder.path() / expected.at("output_file").get<std::string>()), expected);
    }
}

TEST(PreprocessParity, SliceFilesOfEveryCase) {
    const auto cases = casesOf({"medsam_npy", "medsam2_npy"});
    MEDSEG_REQUIRE_CASES(cases);
    for (const Json& item : cases) {
        SCOPED_TRACE(item.at("id").get<std::string>());
        checkSlices(item);
    }
}

NpyArray resizedImage(const NpyArray& input, const Json& rule) {
    EXPECT_EQ(rule.at("rule"), "skimage");
    EXPECT_EQ(rule.at("order"), 3);
    EXPECT_EQ(rule.at("anti_aliasing"), true);
    EXPECT_EQ(rule.at("clip_to_input_range"), true);
    const std::int64_t height = input.shape.at(0), width = input.shape.at(1), rows = rule.at("rows"),
                       columns = rule.at("cols");
    std::vector<double> result =
        resizeSliceCubic({input.as<std::uint8_t>(), width, height, width}, rows, columns,
                         rule.at("border") == "constant" ? Boundary::Constant : Boundary::Mirror);
    if (!rule.at("normalise").is_null()) normalizeToUnit(result);
    return NpyArray::of({rows, columns}, result.data());
}

NpyArray resizedLabels(const NpyArray& input, const Json& rule) {
    const std::int64_t height = input.shape.at(0), width = input.shape.at(1), rows = rule.at("rows"),
                       columns = rule.at("cols");
    std::vector<std::uint8_t> result(static_cast<std::size_t>(rows * columns));
    if (rule.at("rule") == "cv2_nearest")
        resizeOpenCv({input.as<std::uint8_t>(), width, height, 1}, OpenCvResize::Nearest,
                     PixelView<std::uint8_t>{result.data(), columns, rows, 1});
    else
        resizeNearest<std::uint8_t>({input.as<std::uint8_t>(), width, height, width},
                                    {result.data(), columns, rows, columns});
    return NpyArray::of({rows, columns}, result.data());
}

TEST(PreprocessParity, ResizesOfEveryCase) {
    const auto cases = casesOf({"resize"});
    MEDSEG_REQUIRE_CASES(cases);
    for (const Json& item : cases) {
        SCOPED_TRACE(item.at("id").get<std::string>());
        const bool image = !item.at("image").is_null();
        const NpyArray input = readArray(fixtureRoot() / item.at(image ? "image" : "label").get<std::string>(),
                                         item.at(image ? "image_key" : "label_key"));
        const NpyArray output =
            image ? resizedImage(input, item.at("resize_image")) : resizedLabels(input, item.at("resize_label"));
        for (const Json& expected : item.at("expected").at("arrays")) expectArray(output, expected);
    }
}

}  // namespace
}  // namespace medseg::parity
