#include "medseg/io/npy.h"

#include <cmath>

#include <gmock/gmock.h>

#include "medseg/base/error.h"
#include "medseg/io/npy_header.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// An npy file of the given version, header text and data.
Bytes npyFile(int version, std::string text, const Bytes& data) {
    Bytes file{0x93, 'N', 'U', 'M', 'P', 'Y', static_cast<std::uint8_t>(version), 0};
    text += '\n';
    file.push_back(static_cast<std::uint8_t>(text.size() & 0xff));
    file.push_back(static_cast<std::uint8_t>(text.size() >> 8));
    if (version > 1) file.insert(file.end(), {0, 0});
    file.insert(file.end(), text.begin(), text.end());
    file.insert(file.end(), data.begin(), data.end());
    return file;
}

std::string header(const std::string& descriptor, const std::string& fortran, const std::string& shape) {
    return "{'descr': '" + descriptor + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
}

class Npy : public testing::Test {
  protected:
    NpyArray read(const Bytes& file) const { return readNpy(folder_.write("a.npy", file)); }
    TemporaryFolder folder_;
};

TEST_F(Npy, readsAllVersionsAndByteOrders) {
    for (const int version : {1, 2, 3}) {
        const NpyArray little =
            read(npyFile(version, header("<i2", "False", "(2, 2)"), {1, 0, 2, 0, 0xff, 0xff, 0, 1}));
        EXPECT_EQ(little.shape, (std::vector<std::int64_t>{2, 2}));
        EXPECT_EQ(little.toDoubles(), (std::vector<double>{1, 2, -1, 256}));
        const NpyArray big = read(npyFile(version, header(">i2", "False", "(4,)"), {0, 1, 0, 2, 0xff, 0xff, 1, 0}));
        EXPECT_EQ(big.toDoubles(), little.toDoubles());
    }
}

TEST_F(Npy, fortranOrderIsRearranged) {
    // numpy: asfortranarray(arange(6).reshape(2, 3)) lies as 0 3 1 4 2 5.
    EXPECT_EQ(read(npyFile(1, header("|u1", "True", "(2, 3)"), {0, 3, 1, 4, 2, 5})).toDoubles(),
              (std::vector<double>{0, 1, 2, 3, 4, 5}));
    // arange(12).reshape(2, 3, 2) in Fortran order.
    EXPECT_EQ(read(npyFile(1, header("|i1", "True", "(2, 3, 2)"), {0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11})).toDoubles(),
              (std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST_F(Npy, scalarsAndEmptyArrays) {
    EXPECT_EQ(read(npyFile(1, header("|b1", "False", "()"), {1})).toDoubles(), std::vector<double>{1});
    EXPECT_TRUE(read(npyFile(1, header("<f8", "False", "(0, 5)"), {})).toDoubles().empty());
}

TEST_F(Npy, halfPrecision) {
    const NpyArray array =
        read(npyFile(1, header("<f2", "False", "(5,)"), {0, 0x3c, 0, 0xc0, 0xff, 0x7b, 1, 0, 0, 0x7c}));
    const auto values = array.toDoubles();
    EXPECT_EQ(values[0], 1);
    EXPECT_EQ(values[1], -2);
    EXPECT_EQ(values[2], 65504);
    EXPECT_EQ(values[3], std::ldexp(1.0, -24));
    EXPECT_TRUE(std::isinf(values[4]));
}

TEST_F(Npy, refusesWhatItMustNotLoad) {
    const auto message = [&](const Bytes& file) -> std::string {
        try {
            read(file);
        } catch (const DataError& error) {
            return error.what();
        }
        return "accepted";
    };
    using testing::HasSubstr;
    EXPECT_THAT(message(npyFile(1, header("|O", "False", "(1,)"), Bytes(8))), HasSubstr("pickle"));
    EXPECT_THAT(message(npyFile(1, header("<c8", "False", "(1,)"), Bytes(8))), HasSubstr("<c8"));
    EXPECT_THAT(message(npyFile(1, header("<f8", "False", "(1125899906842624,)"), Bytes(128))), HasSubstr("truncated"));
    EXPECT_THAT(message(npyFile(1, header("<f8", "False", "(4294967296, 4294967296)"), Bytes(128))), HasSubstr("2^64"));
    EXPECT_THAT(message(npyFile(1, header("<f8", "False", "(-1,)"), Bytes(128))), HasSubstr("shape"));
    EXPECT_THAT(message(npyFile(1, header("<f8", "False", "(99999999999999999999,)"), Bytes(128))), HasSubstr("shape"));
    EXPECT_THAT(message(npyFile(1, header("<f8", "__import__", "(1,)"), Bytes(8))), HasSubstr("fortran_order"));
    EXPECT_THAT(
        message(npyFile(1, "{'descr': [('a', '<i2'), ('b', '|O')], 'fortran_order': False, 'shape': (1,)}", Bytes(8))),
        HasSubstr("object"));
    EXPECT_THAT(message(npyFile(4, header("<f8", "False", "(1,)"), Bytes(8))), HasSubstr("version"));
}

TEST_F(Npy, everyTruncationIsAnError) {
    const Bytes file = npyFile(1, header("<i2", "False", "(2, 2)"), {1, 0, 2, 0, 3, 0, 4, 0});
    for (std::size_t size = 0; size < file.size(); ++size)
        EXPECT_THROW(read({file.begin(), file.begin() + static_cast<long>(size)}), DataError) << size;
}

TEST_F(Npy, damagedHeadersNeverCrash) {
    const Bytes file = npyFile(1, header("<i2", "True", "(2, 2)"), {1, 0, 2, 0, 3, 0, 4, 0});
    for (std::size_t at = 0; at < file.size(); ++at)
        for (int value = 0; value < 256; value += 51) {
            Bytes damaged = file;
            damaged[at] = static_cast<std::uint8_t>(value);
            try {
                read(damaged).toDoubles();
            } catch (const DataError&) {
            }
        }
}

TEST_F(Npy, writingAndReadingBack) {
    const std::vector<float> values{1.5f, -2, 3e20f, 0, 7, 8};
    const auto path = folder_.path() / "b.npy";
    writeNpy(path, NpyArray::of({3, 2}, values.data()));
    const NpyArray array = readNpy(path);
    EXPECT_EQ(array.type, NpyType::F32);
    EXPECT_EQ(array.shape, (std::vector<std::int64_t>{3, 2}));
    EXPECT_TRUE(std::equal(values.begin(), values.end(), array.as<float>()));
    EXPECT_THROW(array.as<double>(), DataError);
    EXPECT_EQ((std::filesystem::file_size(path) - 24) % 64, 0u);  // as numpy aligns
}

TEST_F(Npy, archives) {
    const std::vector<std::int32_t> numbers{1, 2, 3};
    const std::vector<std::uint8_t> bytes(100000, 9);
    const std::map<std::string, NpyArray> arrays{{"numbers", NpyArray::of({3}, numbers.data())},
                                                 {"bytes", NpyArray::of({1000, 100}, bytes.data())}};
    for (const bool compress : {false, true}) {
        const auto path = folder_.path() / "c.npz";
        writeNpz(path, arrays, compress);
        EXPECT_EQ(std::filesystem::file_size(path) > 100000, !compress);
        const NpzFile file(path);
        EXPECT_THAT(file.names(), testing::UnorderedElementsAre("numbers", "bytes"));
        EXPECT_EQ(file.read("bytes").bytes, bytes);
        EXPECT_EQ(file.read("numbers").as<std::int32_t>()[2], 3);
        EXPECT_EQ(file.header("bytes").shape, (std::vector<std::int64_t>{1000, 100}));
        EXPECT_FALSE(file.contains("other"));
        EXPECT_THROW(file.read("other"), DataError);
    }
}

}  // namespace
}  // namespace medseg
