// Coarser targets stay where the object is.
#include "medseg/train/coarse_target.h"

#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

constexpr std::int64_t kRows = 96, kColumns = 128;

/// An ellipse around (x, y) in pixels, pixel centres at whole numbers.
std::vector<std::uint8_t> ellipse(double x, double y) {
    std::vector<std::uint8_t> mask;
    for (std::int64_t row = 0; row < kRows; ++row)
        for (std::int64_t column = 0; column < kColumns; ++column) {
            const double dx = (static_cast<double>(column) - x) / 30, dy = (static_cast<double>(row) - y) / 22;
            mask.push_back(dx * dx + dy * dy <= 1 ? 1 : 0);
        }
    return mask;
}

/// Mean position along the last axis but `fromEnd` of what is not zero, as a share of the side.
double centre(const torch::Tensor& mask, int fromEnd) {
    const auto places = torch::nonzero(mask).to(torch::kDouble);
    const std::int64_t axis = mask.dim() - 1 - fromEnd;
    return (places.select(1, axis).mean().item<double>() + 0.5) / static_cast<double>(mask.size(axis));
}

TEST(CoarseMask, LiesWhereTheMaskLies) {
    const auto coarse = coarseMask(ellipse(60.3, 50.7), kRows, kColumns, 32);
    ASSERT_EQ(coarse.sizes(), torch::IntArrayRef({1, 32, 32}));
    EXPECT_NEAR(centre(coarse, 0), 60.8 / kColumns, 0.15 / 32);
    EXPECT_NEAR(centre(coarse, 1), 51.2 / kRows, 0.15 / 32);
    // Its area too: pi 30 22 pixels.
    EXPECT_NEAR(coarse.sum().item<double>() * (kRows * kColumns / 1024.0), 2073.5, 40);
}

TEST(CoarseMask, CountsAPixelThatIsHalfCovered) {
    const std::vector<std::uint8_t> mask{1, 1, 0, 0,   //
                                         0, 0, 0, 1,   //
                                         1, 1, 0, 0,   //
                                         1, 0, 0, 0};  //
    EXPECT_TRUE(coarseMask(mask, 4, 4, 2).equal(torch::tensor({{{1.0F, 0.0F}, {1.0F, 0.0F}}})));
}

TEST(CoarseMask, KeepsASmallObjectWhereItIsAndEmptinessEmpty) {
    std::vector<std::uint8_t> mask(16, 0);
    EXPECT_EQ(coarseMask(mask, 4, 4, 2).sum().item<double>(), 0);
    mask[7] = 1;
    EXPECT_TRUE(coarseMask(mask, 4, 4, 2).equal(torch::tensor({{{0.0F, 1.0F}, {0.0F, 0.0F}}})));
}

TEST(CoarseMask, OfTheSameSizeIsTheMask) {
    const std::vector<std::uint8_t> mask{1, 0, 0, 1};
    EXPECT_TRUE(coarseMask(mask, 2, 2, 2).equal(torch::tensor({{{1.0F, 0.0F}, {0.0F, 1.0F}}})));
    EXPECT_THROW(coarseMask({}, 0, 0, 2), DataError);
}

TEST(CoarseLabels, AreThoseInTheMiddle) {
    auto mask = ellipse(60.3, 50.7);
    const auto labels = torch::from_blob(mask.data(), {1, 1, kRows, kColumns}, torch::kByte);
    for (const std::int64_t step : {2, 4, 8}) {
        const auto coarse = coarseLabels(labels, step);
        ASSERT_EQ(coarse.sizes(), torch::IntArrayRef({1, 1, kRows / step, kColumns / step}));
        // The middle of an even number of pixels lies half a fine pixel before the one that is taken.
        EXPECT_NEAR(centre(coarse, 0) * kColumns, 60.8 - 0.5, step / 5.0) << step;
        EXPECT_NEAR(centre(coarse, 1) * kRows, 51.2 - 0.5, step / 5.0) << step;
    }
    const auto volume = torch::arange(64).reshape({1, 1, 4, 4, 4});
    EXPECT_TRUE(coarseLabels(volume, 4).equal(volume.slice(2, 2, 3).slice(3, 2, 3).slice(4, 2, 3)));
}

}  // namespace
}  // namespace medseg
