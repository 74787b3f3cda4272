// The image encoder against the files of encoder/.
#include <gtest/gtest.h>

#include "parity/sam/sam_fixture.h"
#include "parity/sam/sam_shapes.h"

namespace medseg {
namespace {

using namespace sam_fixture;

TEST(SamImageEncoderParity, EveryStage) {
    REQUIRE_SAM_FIXTURES();
    const torch::NoGradGuard noGradient;
    VitImageEncoder encoder(imageEncoderShape());
    load(*encoder, "image_encoder.");
    const torch::Tensor image = floats("encoder/input.npy");
    torch::Tensor tokens = encoder->patchTokens(image);
    EXPECT_CLOSE(tokens, floats("encoder/tokens0.npy"), kTolerance);
    for (std::size_t i = 0; i < encoder->depth(); ++i) {
        SCOPED_TRACE(i);
        const std::string block = "encoder/block" + std::to_string(i);
        if (exists(block + "_attn_windows.npy"))
            EXPECT_CLOSE(encoder->attentionWindows(i, tokens), floats(block + "_attn_windows.npy"), kTolerance);
        tokens = encoder->throughBlock(i, tokens);
        if (exists(block + ".npy")) EXPECT_CLOSE(tokens, floats(block + ".npy"), kTolerance);
    }
    EXPECT_CLOSE(encoder->throughNeck(tokens), floats("encoder/image_embedding.npy"), kTolerance);
    EXPECT_CLOSE(encoder->forward(image), floats("encoder/image_embedding.npy"), kTolerance);
}

TEST(SamImageEncoderParity, RelativePositionTables) {
    REQUIRE_SAM_FIXTURES();
    const torch::Tensor table = floats("encoder/relpos_table.npy");
    int cases = 0;
    for (const std::string& name : namesEnding("encoder", ".npy")) {
        int queries = 0, keys = 0;
        if (std::sscanf(name.c_str(), "relpos_q%dk%d", &queries, &keys) != 2) continue;
        SCOPED_TRACE(name);
        EXPECT_CLOSE(relativePositionRows(table, queries, keys), floats("encoder/" + name + ".npy"), kTolerance);
        ++cases;
    }
    EXPECT_GT(cases, 0);
}

TEST(SamImageEncoderParity, WindowsAreCutAndJoined) {
    const torch::Tensor x = torch::arange(2 * 5 * 7 * 3, torch::kFloat).view({2, 5, 7, 3});
    const torch::Tensor windows = windowPartition(x, 3);
    ASSERT_EQ(windows.sizes(), (std::vector<std::int64_t>{2 * 2 * 3, 3, 3, 3}));
    EXPECT_TRUE(torch::equal(windowReverse(windows, 5, 7), x));
    // The last window of the first image starts at row 3, column 6: the rest is zeros.
    EXPECT_TRUE(torch::equal(windows[5][0][0], x[0][3][6]));
    EXPECT_EQ(windows[5][2].abs().sum().item<float>(), 0);
    EXPECT_EQ(windows[5].select(1, 1).abs().sum().item<float>(), 0);
}

}  // namespace
}  // namespace medseg
