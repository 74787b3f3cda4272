#include <cmath>

#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/report/overlay.h"
#include "medseg/report/panel.h"
#include "png_decoding.h"

namespace medseg {
namespace {

constexpr Color kLiver{200, 40, 40};
constexpr Color kSpleen{40, 60, 210};

LabelTable table() {
    LabelTable labels;
    labels.add({1, "liver", kLiver});
    labels.add({2, "spleen", kSpleen});
    return labels;
}

/// A grid whose x axis points to the patient's left and y to posterior (LPS-like storage), 2 x 1 x 4 mm.
Geometry lpsGrid() {
    return Geometry({20, 30, 6}, {{{-2, 0, 0, 20}, {0, -1, 0, 15}, {0, 0, 4, 0}, {0, 0, 0, 1}}});
}

/// Everything on the patient's right (world x > 0) is liver, everything on the left spleen.
LabelMap sides(const Geometry& geometry) {
    Volume<std::uint8_t> volume(geometry, 0);
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y)
            for (std::int64_t x = 0; x < volume.nx(); ++x) {
                const Vec3 world =
                    geometry.voxelToWorld({static_cast<double>(x), static_cast<double>(y), static_cast<double>(z)});
                volume(x, y, z) = world[0] > 0 ? 1 : 2;
            }
    return LabelMap(std::move(volume), table());
}

TEST(Overlay, TheRightSideOfThePatientIsOnTheLeft) {
    for (const Geometry& geometry : {lpsGrid(), Geometry::axisAligned({20, 30, 6}, {2, 1, 4}, {-19, 0, 0})}) {
        const Volume<float> image(geometry, 0.0F);
        const LabelMap labels = sides(geometry);
        const OverlayCase overlay{.name = "case", .image = &image, .reference = &labels};
        const OverlayRow row = renderOverlayRow(overlay, {.window = Window::fromRange(0, 1), .opacity = 1});
        ASSERT_EQ(row.panels.size(), 2U);
        const RgbImage& picture = row.panels[1].picture;
        EXPECT_EQ(picture.at(picture.width / 4, picture.height / 2), kLiver) << geometry.describe();
        EXPECT_EQ(picture.at(picture.width * 3 / 4, picture.height / 2), kSpleen) << geometry.describe();
        EXPECT_EQ(row.letters[0], 'R');
        EXPECT_EQ(row.letters[1], 'L');
    }
}

TEST(Overlay, KeepsTheShapeOfAnisotropicVoxels) {
    const Volume<float> image(lpsGrid(), 0.0F);  // 40 x 30 x 24 mm
    const OverlayCase overlay{.name = "case", .image = &image};
    const auto sizeOf = [&](ViewPlane plane) {
        const OverlayRow row = renderOverlayRow(overlay, {.plane = plane, .panelSize = 200});
        return std::pair(row.panels[0].picture.width, row.panels[0].picture.height);
    };
    EXPECT_EQ(sizeOf(ViewPlane::Axial), std::pair(400L, 300L));
    EXPECT_EQ(sizeOf(ViewPlane::Coronal), std::pair(400L, 240L));
    EXPECT_EQ(sizeOf(ViewPlane::Sagittal), std::pair(400L, 320L));
}

TEST(Overlay, BlendsColoursByOpacityOverTheWindowedGray) {
    const Geometry geometry = Geometry::axisAligned({4, 4, 1}, {1, 1, 1});
    const Volume<float> image(geometry, 50.0F);
    Volume<std::uint8_t> voxels(geometry, 1);
    const LabelMap labels(std::move(voxels), table());
    const OverlayRow row = renderOverlayRow({.name = "c", .image = &image, .prediction = &labels},
                                            {.window = Window::fromRange(0, 100), .opacity = 0.5});
    const Color gray = row.panels[0].picture.at(100, 100), mixed = row.panels[1].picture.at(100, 100);
    EXPECT_EQ(gray, (Color{128, 128, 128}));
    EXPECT_EQ(row.panels[1].caption, "Prediction");
    for (std::size_t channel = 0; channel < 3; ++channel) EXPECT_NEAR(mixed[channel], (128 + kLiver[channel]) / 2.0, 1);
}

TEST(Overlay, TheDifferenceNamesEveryKindOfError) {
    const Geometry geometry = Geometry::axisAligned({4, 1, 1}, {1, 1, 1});
    const Volume<float> image(geometry, 0.0F);
    Volume<std::uint8_t> expected(geometry, 0), found(geometry, 0);
    // Picture columns run from the patient's right, the last voxel, to the left.
    const std::array<std::pair<int, int>, 4> pairs{{{1, 1}, {1, 0}, {0, 2}, {1, 2}}};
    for (std::int64_t i = 0; i < 4; ++i) {
        expected(3 - i, 0, 0) = static_cast<std::uint8_t>(pairs[static_cast<std::size_t>(i)].first);
        found(3 - i, 0, 0) = static_cast<std::uint8_t>(pairs[static_cast<std::size_t>(i)].second);
    }
    const LabelMap reference(std::move(expected), table()), prediction(std::move(found), table());
    const OverlayRow row =
        renderOverlayRow({.name = "c", .image = &image, .reference = &reference, .prediction = &prediction},
                         {.window = Window::fromRange(0, 1), .panelSize = 320});
    ASSERT_EQ(row.panels.size(), 4U);
    const RgbImage& picture = row.panels[3].picture;
    const auto expectNear = [&](std::int64_t column, Color color, double opacity) {
        const Color pixel = picture.at(picture.width * (2 * column + 1) / 8, picture.height / 2);
        for (std::size_t channel = 0; channel < 3; ++channel)
            EXPECT_NEAR(pixel[channel], color[channel] * opacity, 1.5) << column;
    };
    expectNear(0, difference::kAgreed, 0.25);
    expectNear(1, difference::kMissed, 0.85);
    expectNear(2, difference::kExtra, 0.85);
    expectNear(3, difference::kConfused, 0.85);
    // Dice: liver 2*1/(3+1) = 0.5, spleen 0.
    EXPECT_EQ(row.panels[3].caption, "Difference, mean Dice of this slice 0.250");
}

TEST(Overlay, LegendListsOnlyWhatIsVisible) {
    const Geometry geometry = Geometry::axisAligned({8, 8, 2}, {1, 1, 1});
    const Volume<float> image(geometry, 0.0F);
    Volume<std::uint8_t> voxels(geometry, 0);
    voxels(1, 1, 0) = 1;
    voxels(1, 1, 1) = 2;
    const LabelMap labels(std::move(voxels), table());
    const OverlayRow row = renderOverlayRow({.name = "c", .image = &image, .reference = &labels}, {.slice = 1});
    ASSERT_EQ(row.legend.size(), 1U);
    EXPECT_EQ(row.legend[0].name, "spleen");
    EXPECT_EQ(row.legend[0].color, kSpleen);
}

TEST(Overlay, RefusesOtherGeometriesAndMissingSlices) {
    const Volume<float> image(Geometry::axisAligned({8, 8, 2}, {1, 1, 1}), 0.0F);
    const LabelMap other(Volume<std::uint8_t>(Geometry::axisAligned({8, 8, 2}, {1, 1, 2}), 0));
    EXPECT_THROW(renderOverlayRow({.image = &image, .reference = &other}), DataError);
    EXPECT_THROW(renderOverlayRow({.image = &image}, {.slice = 2}), UsageError);
    EXPECT_THROW(renderOverlayRow({.image = &image}, {.slice = -1}), UsageError);
    EXPECT_THROW(renderMontage({.image = &image}, {.columns = 0}), UsageError);
    EXPECT_THROW(composeOverlays({}), UsageError);
}

TEST(Overlay, SheetsAndMontagesAreDrawn) {
    const Geometry geometry = lpsGrid();
    const Volume<float> image(geometry, 0.0F);
    const LabelMap labels = sides(geometry);
    const OverlayCase overlay{.name = "case", .image = &image, .reference = &labels, .prediction = &labels};
    const RgbImage sheet = decodePng(renderOverlay(overlay).png());
    EXPECT_EQ(sheet.width, 2 * (4 * 320 + 3 * 10 + 2 * 24));
    const Canvas montage = renderMontage(overlay, {.columns = 3, .tiles = 6, .tileSize = 200});
    EXPECT_EQ(montage.width(), 3 * 200 + 2 * 6 + 2 * 24);
}

TEST(Window, IsChosenFromTheImage) {
    const Geometry geometry = Geometry::axisAligned({10, 10, 10}, {1, 1, 1});
    Volume<float> ct(geometry, -1000.0F);
    EXPECT_EQ(automaticWindow(ct).low(), -160);
    Volume<float> mr(geometry);
    for (std::int64_t i = 0; i < mr.voxelCount(); ++i) mr.data()[i] = static_cast<float>(i);
    EXPECT_NEAR(automaticWindow(mr).high(), 994, 1.5);
    const Volume<float> blank(geometry, 0.0F);
    EXPECT_GT(automaticWindow(blank).high(), automaticWindow(blank).low());
}

}  // namespace
}  // namespace medseg
