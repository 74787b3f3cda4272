#include "medseg/base/files.h"

#include <sys/resource.h>
#include <unistd.h>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

class Files : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("medseg-files-" + std::to_string(::getpid()));
        fs::create_directories(folder_);
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::size_t entries() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
    }

    fs::path folder_;
};

template <typename ErrorType, typename Action>
std::string messageOf(Action&& action) {
    try {
        action();
    } catch (const ErrorType& error) {
        return error.what();
    }
    return "no error";
}

TEST_F(Files, AppearUnderTheirNameOnCommitOnly) {
    const fs::path path = folder_ / "new" / "a.bin";
    {
        AtomicFile file(path);
        file.write("0123456789");
        file.writeAt(4, "XY", 2);
        EXPECT_EQ(file.position(), 10U);
        EXPECT_FALSE(fs::exists(path));
        file.commit();
    }
    EXPECT_EQ(readTextFile(path), "0123XY6789");
}

TEST_F(Files, WithoutCommitLeaveTheOldContentAndNothingElse) {
    writeTextFile(folder_ / "a.txt", "old");
    {
        AtomicFile file(folder_ / "a.txt");
        file.write("new");
    }
    EXPECT_EQ(readTextFile(folder_ / "a.txt"), "old");
    EXPECT_EQ(entries(), 1U);
}

// A limit on file sizes makes write() fail the way a full disk does.
TEST_F(Files, AFullDiskIsAWorkErrorAndLeavesNothing) {
    const auto old = std::signal(SIGXFSZ, SIG_IGN);
    rlimit saved{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &saved), 0);
    rlimit small{4096, saved.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const std::string message =
        messageOf<WorkError>([&] { writeTextFile(folder_ / "big.txt", std::string(100000, 'x')); });
    ::setrlimit(RLIMIT_FSIZE, &saved);
    std::signal(SIGXFSZ, old);
    EXPECT_THAT(message, ::testing::HasSubstr("big.txt: cannot write: "));
    EXPECT_EQ(entries(), 0U);
}

TEST_F(Files, MissingFoldersAndLimitsAreDataErrors) {
    EXPECT_THAT(messageOf<DataError>([&] { MappedFile file(folder_ / "none"); }), ::testing::HasSubstr("no such file"));
    EXPECT_THAT(messageOf<DataError>([&] { MappedFile file(folder_); }), ::testing::HasSubstr("is a directory"));
    writeTextFile(folder_ / "long.txt", std::string(11, 'x'));
    EXPECT_EQ(readTextFile(folder_ / "long.txt", 11).size(), 11U);
    EXPECT_THROW(readTextFile(folder_ / "long.txt", 10), DataError);
}

TEST_F(Files, AnEmptyFileMapsToNoBytes) {
    writeTextFile(folder_ / "empty", "");
    EXPECT_TRUE(MappedFile(folder_ / "empty").bytes().empty());
}

TEST_F(Files, AFileInTheWayOfAFolderIsAWorkError) {
    writeTextFile(folder_ / "file", "x");
    EXPECT_THROW(createDirectories(folder_ / "file" / "below"), WorkError);
    fs::create_directory(folder_ / "directory");
    EXPECT_THROW(AtomicFile(folder_ / "directory"), WorkError);
}

TEST(FileNames, SuffixesIgnoreCase) {
    EXPECT_TRUE(endsWithIgnoringCase("CT.NII.GZ", ".nii.gz"));
    EXPECT_FALSE(endsWithIgnoringCase("gz", ".nii.gz"));
    EXPECT_FALSE(endsWithIgnoringCase("ct.nii", ".nii.gz"));
}

}  // namespace
}  // namespace medseg
