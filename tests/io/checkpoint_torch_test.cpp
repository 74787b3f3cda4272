#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/torch_checkpoint.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

class TorchCheckpoint : public ::testing::Test {
  protected:
    fs::path file(const std::string& name) const { return folder_.path() / name; }

  private:
    TemporaryFolder folder_;
};

TensorRecord numbers(std::vector<std::int64_t> shape) {
    std::vector<float> values(static_cast<std::size_t>(checkedElementCount(shape, "test")));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.5f - 1.0f;
    return TensorRecord::ofFloats(std::move(shape), values);
}

PickleValue sampleRoot() {
    PickleValue root = PickleValue::dict();
    root.set("model", PickleValue::stateDict({{"conv.weight", numbers({2, 3})}, {"conv.bias", numbers({3})}}));
    PickleValue group = PickleValue::dict();
    group.set("lr", 1e-3);
    group.set("betas", PickleValue::tuple({0.9, 0.999}));
    group.set("amsgrad", false);
    PickleValue optimizer = PickleValue::dict();
    optimizer.set("param_groups", PickleValue::list({group}));
    root.set("optimizer", optimizer);
    root.set("epoch", 12);
    root.set("seed", std::int64_t{1} << 40);
    root.set("huge", PickleValue::bigInt("-119547037146038801333356"));
    root.set("config", "training:\n  epochs: 12 # \xc3\xa9poques\n");
    root.set("raw", PickleValue::bytes(std::string("\x00\x80\xff z", 5)));
    root.set("nothing", PickleValue());
    return root;
}

TEST_F(TorchCheckpoint, WhatIsWrittenIsReadBack) {
    writeTorchFile(file("a.pth"), sampleRoot());
    const TorchFile read = readTorchFile(file("a.pth"));
    EXPECT_EQ(read.format, TorchFormat::Zip);
    EXPECT_EQ(read.archiveName, "a");
    EXPECT_THAT(read.producer, ::testing::StartsWith("medseg "));
    const PickleValue& root = read.root;
    EXPECT_EQ(root.at("model").typeName(), "collections.OrderedDict");
    EXPECT_EQ(root.at("model").at("conv.weight").asTensor().shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_THAT(root.at("model").at("conv.weight").asTensor().toFloats(),
                ::testing::ElementsAre(-1, -0.5, 0, 0.5, 1, 1.5));
    const PickleValue& group = root.at("optimizer").at("param_groups").items()[0];
    EXPECT_EQ(group.at("lr").asDouble(), 1e-3);
    EXPECT_EQ(group.at("betas").items()[1].asDouble(), 0.999);
    EXPECT_FALSE(group.at("amsgrad").asBool());
    EXPECT_EQ(root.at("epoch").asInt(), 12);
    EXPECT_EQ(root.at("seed").asInt(), std::int64_t{1} << 40);
    EXPECT_EQ(root.at("huge").asDecimal(), "-119547037146038801333356");
    EXPECT_EQ(root.at("config").asString(), "training:\n  epochs: 12 # \xc3\xa9poques\n");
    EXPECT_EQ(root.at("raw").asBytes(), std::string("\x00\x80\xff z", 5));
    EXPECT_TRUE(root.at("nothing").isNone());
    EXPECT_TRUE(findChecksumMismatches(file("a.pth")).empty());
}

TEST_F(TorchCheckpoint, SharedStoragesStayShared) {
    const TensorRecord base = numbers({4, 6});
    TensorRecord column = base;  // the transposed third column
    column.shape = {4};
    column.strides = {6};
    column.offset = 2;
    PickleValue root = PickleValue::dict();
    root.set("base", base);
    root.set("column", column);
    writeTorchFile(file("shared.pth"), root);
    EXPECT_LT(fs::file_size(file("shared.pth")), 2048u);
    const TorchFile read = readTorchFile(file("shared.pth"));
    const TensorRecord& a = read.root.at("base").asTensor();
    const TensorRecord& b = read.root.at("column").asTensor();
    EXPECT_EQ(a.storage, b.storage);
    EXPECT_FALSE(b.isContiguous());
    EXPECT_THAT(b.toFloats(), ::testing::ElementsAre(0, 3, 6, 9));
    EXPECT_THAT(b.contiguous().toFloats(), ::testing::ElementsAre(0, 3, 6, 9));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 64, 0u);
}

TEST_F(TorchCheckpoint, StoragesAreMappedNotCopied) {
    writeTorchFile(file("big.pth"), PickleValue::stateDict({{"w", numbers({512, 512})}}));
    TensorRecord tensor;
    {
        const TorchFile read = readTorchFile(file("big.pth"));
        tensor = read.root.at("w").asTensor();
    }
    EXPECT_EQ(tensor.storage->bytes.size(), 512u * 512u * 4u);
    EXPECT_EQ(tensor.toFloats().back(), (512 * 512 - 1) * 0.5f - 1.0f);
}

TEST_F(TorchCheckpoint, OpaqueValuesAreNotWritten) {
    PickleValue root = PickleValue::dict();
    root.set("x", PickleValue::opaque("somewhere.Thing"));
    EXPECT_THROW(writeTorchFile(file("no.pth"), root), DataError);
    EXPECT_FALSE(fs::exists(file("no.pth")));
}

TEST_F(TorchCheckpoint, OtherFilesAreNamedForWhatTheyAre) {
    std::ofstream(file("empty.pth")).close();
    std::ofstream(file("text.pth")) << "not a checkpoint";
    EXPECT_THROW(readTorchFile(file("empty.pth")), DataError);
    EXPECT_THROW(readTorchFile(file("text.pth")), DataError);
    EXPECT_THROW(readTorchFile(file("missing.pth")), DataError);
}

}  // namespace
}  // namespace medseg
