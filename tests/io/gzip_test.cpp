#include "medseg/io/gzip.h"

#include <random>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "temporary_folder.h"

namespace medseg {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes noisyRamp(std::size_t count) {
    std::mt19937 random(3);
    Bytes bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i / 1000 + random() % 3);
    return bytes;
}

/// What `printf 'hello ' | gzip -n` and `printf '' | gzip -n` write.
const Bytes kHello{0x1f, 0x8b, 8,    0, 0, 0,    0,    0,    0,    3, 0xcb, 0x48, 0xcd,
                   0xc9, 0xc9, 0x57, 0, 0, 0xf6, 0xf9, 0x81, 0xed, 6, 0,    0,    0};
const Bytes kEmpty{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0};

Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

std::string readText(const Bytes& file, std::size_t limit = 100) {
    GzipReader reader(file, "test");
    Bytes out(limit);
    out.resize(reader.read(out));
    reader.finish(0);
    return {out.begin(), out.end()};
}

Bytes compressed(const TemporaryFolder& folder, std::span<const ByteSpan> parts, int level) {
    const auto path = folder.path() / "x.gz";
    AtomicFile file(path);
    writeGzip(file, parts, level);
    file.commit();
    const MappedFile mapped(path);
    return {mapped.bytes().begin(), mapped.bytes().end()};
}

TEST(GzipReader, readsOneMember) {
    EXPECT_EQ(readText(kHello), "hello ");
}

TEST(GzipReader, readsConcatenatedAndEmptyMembersAndPadding) {
    EXPECT_EQ(readText(kEmpty + kHello + kEmpty + kHello + Bytes(17, 0)), "hello hello ");
    EXPECT_EQ(readText(kEmpty), "");
}

TEST(GzipReader, checksumAndLengthAreChecked) {
    for (const std::size_t at : {kHello.size() - 8, kHello.size() - 1}) {
        Bytes damaged = kHello;
        damaged[at] ^= 1;
        EXPECT_THROW(readText(damaged), DataError);
    }
}

TEST(GzipReader, everyTruncationIsAnError) {
    for (std::size_t size = 2; size < kHello.size(); ++size)
        EXPECT_THROW(readText(Bytes(kHello.begin(), kHello.begin() + static_cast<long>(size))), DataError) << size;
}

TEST(GzipReader, moreBytesThanAnnouncedAreAnError) {
    GzipReader reader(kHello, "test");
    Bytes out(2);
    EXPECT_EQ(reader.read(out), 2u);
    EXPECT_THROW(reader.finish(3), DataError);
    GzipReader again(kHello, "test");
    EXPECT_EQ(again.read(out), 2u);
    again.finish(4);
}

TEST(WriteGzip, comesBackInPiecesOfAnySize) {
    const TemporaryFolder folder;
    const Bytes data = noisyRamp(2'500'000);
    const std::array<ByteSpan, 2> parts{ByteSpan(data).first(352), ByteSpan(data).subspan(352)};
    for (const int level : {1, 2, 3, 6, 12}) {
        const Bytes file = compressed(folder, parts, level);
        EXPECT_LT(file.size(), data.size() / 2);
        for (const std::size_t first : {std::size_t{1}, std::size_t{352}, std::size_t{348}, std::size_t{1'000'000}}) {
            GzipReader reader(file, "test");
            Bytes out(data.size() + 5);
            ASSERT_EQ(reader.read(std::span(out).first(first)), first);
            EXPECT_EQ(reader.read(std::span(out).subspan(first)), data.size() - first);
            out.resize(data.size());
            EXPECT_EQ(out, data) << level << " " << first;
            reader.finish(0);
        }
    }
}

TEST(WriteGzip, doesNotDependOnThreads) {
    const TemporaryFolder folder;
    const Bytes data = noisyRamp(3'000'000);
    const std::array<ByteSpan, 1> parts{data};
    setThreadCount(1);
    const Bytes one = compressed(folder, parts, 1);
    setThreadCount(4);
    const Bytes four = compressed(folder, parts, 1);
    setThreadCount(0);
    EXPECT_EQ(one, four);
}

TEST(WriteGzip, nothingGivesAValidFile) {
    const TemporaryFolder folder;
    EXPECT_EQ(readText(compressed(folder, {}, 1)), "");
}

TEST(GzipReader, damagedBytesNeverPassUnnoticed) {
    const TemporaryFolder folder;
    const Bytes data = noisyRamp(1'100'000);
    const std::array<ByteSpan, 2> parts{ByteSpan(data).first(352), ByteSpan(data).subspan(352)};
    const Bytes file = compressed(folder, parts, 1);
    std::mt19937 random(5);
    Bytes out(data.size());
    for (int trial = 0; trial < 300; ++trial) {
        Bytes damaged = file;
        const std::size_t at = trial < 64 ? static_cast<std::size_t>(trial) : random() % file.size();
        damaged[at] ^= static_cast<std::uint8_t>(1u << random() % 8);
        try {
            GzipReader reader(damaged, "test");
            const std::size_t got = reader.read(out);
            reader.finish(0);
            EXPECT_TRUE(got == data.size() && out == data) << "byte " << at;
        } catch (const DataError&) {
        }
    }
}

}  // namespace
}  // namespace medseg
