#include "medseg/volume/orientation.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

Volume<std::int32_t> numberedVolume() {
    Affine affine = identityAffine();  // slightly oblique LPS
    affine[0] = {-0.9, 0.05, 0.1, 12};
    affine[1] = {0.04, -1.1, 0.02, -7};
    affine[2] = {0.02, 0.01, 2.5, 30};
    Volume<std::int32_t> volume(Geometry({4, 3, 2}, affine));
    for (std::int64_t i = 0; i < volume.voxelCount(); ++i) volume.data()[i] = static_cast<std::int32_t>(i);
    return volume;
}

TEST(Orientation, everyOneOf48KeepsAllWorldPositions) {
    const Volume<std::int32_t> source = numberedVolume();
    std::set<std::string> tried;
    std::string axes = "012";
    do {
        for (int signs = 0; signs < 8; ++signs) {
            std::string codes;
            for (std::size_t i = 0; i < 3; ++i)
                codes += (signs >> i & 1) != 0 ? "LPI"[axes[i] - '0'] : "RAS"[axes[i] - '0'];
            tried.insert(codes);
            const AnyVolume any = turned(AnyVolume(source.clone()), turnTowards(source.geometry(), codes));
            const auto& result = std::get<Volume<std::int32_t>>(any);
            EXPECT_EQ(result.geometry().orientation(), codes);
            for (std::int64_t z = 0; z < result.nz(); ++z)
                for (std::int64_t y = 0; y < result.ny(); ++y)
                    for (std::int64_t x = 0; x < result.nx(); ++x) {
                        const std::int32_t i = result(x, y, z);
                        const Vec3 before =
                            source.geometry().voxelToWorld({double(i % 4), double(i / 4 % 3), double(i / 12)});
                        const Vec3 after = result.geometry().voxelToWorld({double(x), double(y), double(z)});
                        for (std::size_t axis = 0; axis < 3; ++axis)
                            EXPECT_NEAR(before[axis], after[axis], 1e-12) << codes;
                    }
        }
    } while (std::next_permutation(axes.begin(), axes.end()));
    EXPECT_EQ(tried.size(), 48u);
}

TEST(Orientation, wrongCodesAreUsageErrors) {
    for (const char* codes : {"", "RA", "RRS", "RLS", "RAX", "RASR"})
        EXPECT_THROW(turnTowards(Geometry(), codes), UsageError) << codes;
    EXPECT_TRUE(turnTowards(Geometry(), "ras").isIdentity());
}

}  // namespace
}  // namespace medseg
