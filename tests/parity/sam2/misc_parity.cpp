// Hole filling.
#include "fixture.h"
#include "medseg/nn/sam2/video_predictor.h"

namespace medseg::test {
namespace {

TEST(Sam2Parity, FillHoles) {
    MEDSEG_REQUIRE_FIXTURES("sam2");
    const auto expected = sam2Json("misc/fill_holes.json");
    const std::int64_t area = expected.at("max_area");
    expectFixture(fillHoles(sam2Array("misc/fill_holes_in.npy"), area),
                  "misc/fill_holes_out_area" + std::to_string(area) + ".npy", 0);
}

}  // namespace
}  // namespace medseg::test
