#include "medseg/io/zip.h"

#include <random>

#include "medseg/base/error.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

std::vector<std::uint8_t> smoothBytes(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::uint8_t> bytes(count);
    std::uint8_t value = 0;
    for (auto& byte : bytes) byte = value = static_cast<std::uint8_t>(value + (random() % 8 == 0));
    return bytes;
}

/// The zip that Python's zipfile writes for {"a.txt": b"hello"} (stored), byte by byte.
const std::vector<std::uint8_t> kPythonArchive = {
    'P', 'K', 3, 4, 20, 0, 0, 0,   0,    0,   0,    0,    0x21, 0,    0x86, 0xa6, 0x10, 0x36, 5,   0,   0,   0,   5,
    0,   0,   0, 5, 0,  0, 0, 'a', '.',  't', 'x',  't',  'h',  'e',  'l',  'l',  'o',  'P',  'K', 1,   2,   20,  3,
    20,  0,   0, 0, 0,  0, 0, 0,   0x21, 0,   0x86, 0xa6, 0x10, 0x36, 5,    0,    0,    0,    5,   0,   0,   0,   5,
    0,   0,   0, 0, 0,  0, 0, 0,   0,    0,   0,    0x80, 1,    0,    0,    0,    0,    'a',  '.', 't', 'x', 't', 'P',
    'K', 5,   6, 0, 0,  0, 0, 1,   0,    1,   0,    51,   0,    0,    0,    40,   0,    0,    0,   0,   0};

TEST(ZipReader, readsWhatPythonWrites) {
    const TemporaryFolder folder;
    const ZipReader zip(folder.write("a.zip", kPythonArchive));
    ASSERT_EQ(zip.entries().size(), 1u);
    const auto bytes = zip.read(zip.at("a.txt"));
    EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "hello");
    EXPECT_EQ(zip.find("b.txt"), nullptr);
}

TEST(ZipReader, noticesAWrongChecksum) {
    const TemporaryFolder folder;
    auto damaged = kPythonArchive;
    damaged[36] = 'E';
    const ZipReader zip(folder.write("a.zip", damaged));
    EXPECT_THROW(zip.read(zip.at("a.txt")), DataError);
}

TEST(ZipReader, everyTruncationIsAnError) {
    const TemporaryFolder folder;
    for (std::size_t size = 0; size < kPythonArchive.size(); ++size) {
        const auto path =
            folder.write("cut.zip", {kPythonArchive.begin(), kPythonArchive.begin() + static_cast<long>(size)});
        EXPECT_THROW(ZipReader{path}, DataError) << size;
    }
}

TEST(ZipReader, damagedBytesNeverCrash) {
    const TemporaryFolder folder;
    for (std::size_t at = 0; at < kPythonArchive.size(); ++at)
        for (const int value : {0, 1, 0x7f, 0xff}) {
            auto damaged = kPythonArchive;
            damaged[at] = static_cast<std::uint8_t>(value);
            try {
                const ZipReader zip(folder.write("damaged.zip", damaged));
                for (const ZipEntry& entry : zip.entries()) zip.read(entry);
            } catch (const DataError&) {
            }
        }
}

TEST(ZipWriter, storedAndDeflatedEntriesComeBack) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "b.zip";
    const auto large = smoothBytes(3'000'000, 1), small = smoothBytes(777, 2);
    ZipWriter writer(path);
    writer.add("small", small);
    writer.add("large/deflated", large, {.level = 1});
    writer.add("large/small", large, {.level = 9});
    writer.add("aligned", small, {.alignment = 64});
    writer.add("empty", {}, {.level = 1});
    writer.begin("pieces", small.size() + large.size(), 64);
    writer.append(small);
    writer.append(large);
    writer.end();
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.commit();

    const ZipReader zip(path);
    EXPECT_EQ(zip.entries().size(), 6u);
    EXPECT_EQ(zip.read(zip.at("small")), small);
    EXPECT_EQ(zip.read(zip.at("large/deflated")), large);
    EXPECT_EQ(zip.read(zip.at("large/small")), large);
    EXPECT_LT(zip.at("large/deflated").compressedSize, large.size() / 2);
    EXPECT_EQ(zip.at("aligned").dataOffset % 64, 0u);
    EXPECT_EQ(zip.at("pieces").dataOffset % 64, 0u);
    EXPECT_EQ(zip.storedBytes(zip.at("aligned")).size(), small.size());
    EXPECT_TRUE(zip.read(zip.at("empty")).empty());
    auto both = small;
    both.insert(both.end(), large.begin(), large.end());
    EXPECT_EQ(zip.read(zip.at("pieces")), both);
    const auto start = zip.readStart(zip.at("large/deflated"), 100);
    EXPECT_TRUE(std::equal(start.begin(), start.end(), large.begin()));
}

TEST(ZipWriter, repeatedPartsAreCompressedOnce) {
    const TemporaryFolder folder;
    std::vector<std::uint8_t> channel(1'300'000);  // more than two chunks
    std::uint32_t state = 1;
    for (auto& byte : channel) byte = static_cast<std::uint8_t>((state = state * 1664525U + 1013904223U) >> 28);
    const std::vector<std::uint8_t> header(77, 5);
    const std::vector<std::vector<std::uint8_t>> copies(3, channel);
    std::vector<std::uint8_t> expected = header;
    for (const auto& copy : copies) expected.insert(expected.end(), copy.begin(), copy.end());
    for (const int level : {1, 6}) {
        ZipWriter writer(folder.path() / "a.zip");
        const std::vector<ByteSpan> once{header, channel, channel, channel},
            thrice{header, copies[0], copies[1], copies[2]};
        writer.addParts("once", once, {.level = level});
        writer.addParts("thrice", thrice, {.level = level});
        writer.commit();
        const ZipReader zip(folder.path() / "a.zip");
        EXPECT_EQ(zip.read(zip.at("once")), expected);
        EXPECT_EQ(zip.at("once").crc, zip.at("thrice").crc);
        EXPECT_NEAR(static_cast<double>(zip.at("once").compressedSize),
                    static_cast<double>(zip.at("thrice").compressedSize), 100);
    }
}

TEST(ZipWriter, manyEntriesUseZip64) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "many.zip";
    ZipWriter writer(path);
    const std::uint8_t byte = 7;
    for (int i = 0; i < 70000; ++i) writer.add(std::to_string(i), {&byte, 1});
    writer.commit();
    const ZipReader zip(path);
    EXPECT_EQ(zip.entries().size(), 70000u);
    EXPECT_EQ(zip.read(zip.at("69999")), std::vector<std::uint8_t>{7});
}

TEST(ZipReader, refusesABombBeforeAllocating) {
    const TemporaryFolder folder;
    auto bomb = kPythonArchive;
    const std::size_t central = 40;
    bomb[central + 10] = 8;                                                    // deflated
    for (int i = 0; i < 4; ++i) bomb[central + 24 + i] = i < 3 ? 0xff : 0x7f;  // 2 GiB from 5 bytes
    EXPECT_THROW(ZipReader{folder.write("bomb.zip", bomb)}, DataError);
}

}  // namespace
}  // namespace medseg
