#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/report/canvas.h"
#include "png_decoding.h"

namespace medseg {
namespace {

std::vector<std::uint8_t> bytesOf(std::string_view text) {
    return {text.begin(), text.end()};
}

TEST(Png, DecodesToTheSamePixels) {
    Random random(3);
    // Sizes that make every filter win somewhere: noise, a ramp, flat rows.
    for (const auto& [width, height] : {std::pair{1, 1}, std::pair{37, 23}, std::pair{256, 64}}) {
        RgbImage image(width, height, {10, 200, 30});
        for (std::int64_t y = 0; y < height; ++y)
            for (std::int64_t x = 0; x < width; ++x) {
                if (y % 3 == 0) image.set(x, y, {static_cast<std::uint8_t>(x), static_cast<std::uint8_t>(y), 7});
                if (y % 7 == 0) image.set(x, y, {static_cast<std::uint8_t>(random.index(256)), 0, 255});
            }
        const RgbImage decoded = decodePng(encodePng(image));
        ASSERT_EQ(decoded.width, width);
        ASSERT_EQ(decoded.height, height);
        EXPECT_EQ(decoded.pixels, image.pixels);
    }
}

TEST(Png, RefusesAnEmptyPicture) {
    EXPECT_THROW(encodePng(RgbImage()), WorkError);
}

TEST(Png, UnwritablePlaceIsAWorkErrorAndLeavesNothing) {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder / "taken.png");
    EXPECT_THROW(writePng(folder / "taken.png", RgbImage(2, 2)), WorkError);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Base64, AgreesWithTheExamplesOfRfc4648) {
    EXPECT_EQ(encodeBase64({}), "");
    EXPECT_EQ(encodeBase64(bytesOf("f")), "Zg==");
    EXPECT_EQ(encodeBase64(bytesOf("fo")), "Zm8=");
    EXPECT_EQ(encodeBase64(bytesOf("foo")), "Zm9v");
    EXPECT_EQ(encodeBase64(bytesOf("foob")), "Zm9vYg==");
    EXPECT_EQ(encodeBase64(bytesOf("foobar")), "Zm9vYmFy");
    EXPECT_EQ(encodeBase64(std::vector<std::uint8_t>{0xFB, 0xFF}), "+/8=");
}

TEST(Canvas, DrawsShapesWhereTheyBelong) {
    Canvas canvas(50, 40, {255, 255, 255}, 2);
    canvas.fillRect({10, 5, 20, 10}, {{200, 10, 20}});
    canvas.fillRect({10, 20, 20, 10}, {{0, 0, 0}, 0.5});
    const RgbImage image = decodePng(canvas.png());
    ASSERT_EQ(image.width, 100);
    ASSERT_EQ(image.height, 80);
    EXPECT_EQ(image.at(40, 20), (Color{200, 10, 20}));
    EXPECT_EQ(image.at(19, 20), (Color{255, 255, 255}));
    EXPECT_EQ(image.at(20, 10), (Color{200, 10, 20}));
    EXPECT_EQ(image.at(60, 20), (Color{255, 255, 255}));
    EXPECT_NEAR(image.at(40, 50)[0], 127.5, 1);
}

TEST(Canvas, PicturesKeepSharpPixelsUnlessSmoothed) {
    RgbImage chessboard(2, 1);
    chessboard.set(0, 0, {0, 0, 0});
    Canvas canvas(20, 10);
    canvas.image(canvas.bounds(), chessboard, false);
    const RgbImage image = canvas.pixels();
    EXPECT_EQ(image.at(19, 9), (Color{0, 0, 0}));
    EXPECT_EQ(image.at(20, 9), (Color{255, 255, 255}));
}

TEST(Canvas, TextIsMeasuredFittedAndSurvivesBadBytes) {
    Canvas canvas(200, 40);
    const TextStyle style{.size = 12};
    EXPECT_GT(canvas.textWidth("wide text", style), canvas.textWidth("text", style));
    EXPECT_EQ(canvas.fitText("text", 100, style), "text");
    const std::string fitted = canvas.fitText("a very long name of a structure", 60, style);
    EXPECT_LE(canvas.textWidth(fitted, style), 60);
    EXPECT_TRUE(fitted.ends_with("…"));
    EXPECT_EQ(validUtf8("Gr\xC3\xB6\xC3\x9F"
                        "e"),
              "Größe");
    EXPECT_EQ(validUtf8("bad\xFF\xC3"), "bad??");
    EXPECT_EQ(validUtf8("\xC0\xAF\xED\xA0\x80\t"), "????? ");
    canvas.text({10, 20}, "bad\xFF\xC3", style);
    EXPECT_NO_THROW(canvas.pixels());
}

TEST(Canvas, RefusesSizesThatCannotBeDrawn) {
    EXPECT_THROW(Canvas(20000, 10), WorkError);
    EXPECT_THROW(Canvas(0, 10), WorkError);
}

}  // namespace
}  // namespace medseg
