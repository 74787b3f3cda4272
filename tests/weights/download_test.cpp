// Downloads against a server in this process: redirects, ranges, failures.
#include "medseg/weights/download.h"

#include <unistd.h>

#include <atomic>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/sha256.h"

namespace medseg {
namespace {

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 2654435761U) >> 11);
    return text;
}

std::string sumOf(const std::string& text) {
    Sha256 hash;
    hash.update(text.data(), text.size());
    return hash.finish();
}

class Download : public testing::Test {
  protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / fmt::format("medseg_download_{}", ::getpid());
        fs::remove_all(folder_);
        server_.Get("/file", [this](const httplib::Request& request, httplib::Response& response) {
            ++requests_;
            lastRange_ = request.get_header_value("Range");
            lastToken_ = request.get_header_value("Authorization");
            response.set_header("ETag", "\"" + version_ + "\"");
            // If-Range decides between the rest and the whole; httplib cuts the range itself.
            const bool same = request.get_header_value("If-Range") == "\"" + version_ + "\"";
            if (!lastRange_.empty() && !same) const_cast<httplib::Request&>(request).ranges.clear();
            response.set_content(body_, "application/octet-stream");
        });
        server_.Get("/moved",
                    [](const httplib::Request&, httplib::Response& response) { response.set_redirect("/file"); });
        server_.Get("/linked", [this](const httplib::Request&, httplib::Response& response) {
            response.set_header("X-Linked-ETag", "\"" + linked_ + "\"");
            response.set_redirect("/file");
        });
        server_.Get("/loop",
                    [](const httplib::Request&, httplib::Response& response) { response.set_redirect("/loop"); });
        server_.Get("/gated", [](const httplib::Request&, httplib::Response& response) { response.status = 403; });
        server_.Get("/busy", [this](const httplib::Request&, httplib::Response& response) {
            if (++requests_ < 3)
                response.status = 503;
            else
                response.set_content(body_, "application/octet-stream");
        });
        server_.Get("/breaks", [this](const httplib::Request&, httplib::Response& response) {
            ++requests_;
            response.set_header("ETag", "\"" + version_ + "\"");
            response.set_content_provider(body_.size(), "application/octet-stream",
                                          [this](std::size_t offset, std::size_t, httplib::DataSink& sink) {
                                              if (offset >= body_.size() / 2) return false;
                                              sink.write(body_.data() + offset, body_.size() / 2 - offset);
                                              return true;
                                          });
        });
        port_ = server_.bind_to_any_port("127.0.0.1");
        thread_ = std::thread([this] { server_.listen_after_bind(); });
        while (!server_.is_running()) std::this_thread::yield();
    }
    void TearDown() override {
        server_.stop();
        thread_.join();
        fs::remove_all(folder_);
    }
    DownloadRequest request(const std::string& path) const {
        DownloadRequest request;
        request.url = fmt::format("http://127.0.0.1:{}{}", port_, path);
        request.output = folder_ / "weights.bin";
        request.pause = 0.01;
        return request;
    }
    std::string errorOf(const DownloadRequest& request) const {
        try {
            downloadFile(request);
        } catch (const WorkError& error) {
            return error.what();
        }
        return "no error";
    }

    fs::path folder_;
    httplib::Server server_;
    std::thread thread_;
    int port_ = 0;
    std::string body_ = pattern(300000);
    std::string version_ = "v1";
    std::string linked_;
    std::string lastRange_, lastToken_;
    std::atomic<int> requests_{0};
};

TEST(Sha256Sum, KnownMessages) {
    // FIPS 180-4 examples.
    EXPECT_EQ(sumOf(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sumOf("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sumOf("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(sumOf(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_F(Download, ArrivesWholeAndNamed) {
    const DownloadResult result = downloadFile(request("/moved"));
    EXPECT_EQ(readTextFile(folder_ / "weights.bin"), body_);
    EXPECT_EQ(result.bytes, body_.size());
    EXPECT_EQ(result.sha256, sumOf(body_));
    EXPECT_FALSE(result.resumed);
    EXPECT_FALSE(result.checked);
    EXPECT_EQ(readTextFile(folder_ / "weights.bin.sha256"), sumOf(body_) + "  weights.bin\n");
    EXPECT_FALSE(fs::exists(folder_ / "weights.bin.partial"));
}

TEST_F(Download, ContinuesWhatIsThereOfTheSameVersion) {
    createDirectories(folder_);
    writeTextFile(folder_ / "weights.bin.partial", body_.substr(0, 100000));
    writeTextFile(folder_ / "weights.bin.partial.etag", "v1");
    const DownloadResult result = downloadFile(request("/file"));
    EXPECT_TRUE(result.resumed);
    EXPECT_EQ(lastRange_, "bytes=100000-");
    EXPECT_EQ(readTextFile(folder_ / "weights.bin"), body_);
}

TEST_F(Download, BeginsAnewForAnotherVersion) {
    createDirectories(folder_);
    writeTextFile(folder_ / "weights.bin.partial", std::string(100000, 'x'));
    writeTextFile(folder_ / "weights.bin.partial.etag", "v0");
    const DownloadResult result = downloadFile(request("/file"));
    EXPECT_FALSE(result.resumed);
    EXPECT_EQ(readTextFile(folder_ / "weights.bin"), body_);
}

TEST_F(Download, ComparesSums) {
    DownloadRequest wrong = request("/file");
    wrong.sha256 = std::string(64, '0');
    EXPECT_THAT(errorOf(wrong), testing::HasSubstr("SHA-256"));
    EXPECT_FALSE(fs::exists(folder_ / "weights.bin"));
    EXPECT_FALSE(fs::exists(folder_ / "weights.bin.partial"));
    // The sum that a redirect announces counts when none is given.
    linked_ = std::string(64, '1');
    EXPECT_THAT(errorOf(request("/linked")), testing::HasSubstr("SHA-256"));
    linked_ = sumOf(body_);
    EXPECT_TRUE(downloadFile(request("/linked")).checked);
}

TEST_F(Download, TriesAgainWhenTheServerIsBusy) {
    downloadFile(request("/busy"));
    EXPECT_EQ(requests_, 3);
    EXPECT_EQ(readTextFile(folder_ / "weights.bin"), body_);
}

TEST_F(Download, SaysWhatTheServerSays) {
    EXPECT_THAT(errorOf(request("/gated")), testing::HasSubstr("HF_TOKEN"));
    EXPECT_THAT(errorOf(request("/absent")), testing::HasSubstr("404"));
    EXPECT_THAT(errorOf(request("/loop")), testing::HasSubstr("redirects"));
    EXPECT_FALSE(fs::exists(folder_ / "weights.bin"));
}

TEST_F(Download, KeepsWhatArrivedWhenTheConnectionBreaks) {
    DownloadRequest once = request("/breaks");
    once.attempts = 1;
    EXPECT_THAT(errorOf(once), testing::HasSubstr("run the command again"));
    EXPECT_FALSE(fs::exists(folder_ / "weights.bin"));
    EXPECT_EQ(readTextFile(folder_ / "weights.bin.partial"), body_.substr(0, body_.size() / 2));
    EXPECT_TRUE(downloadFile(request("/file")).resumed);
    EXPECT_EQ(readTextFile(folder_ / "weights.bin"), body_);
}

TEST_F(Download, SendsTheTokenToTheFirstHostOnly) {
    DownloadRequest gated = request("/file");
    gated.token = "secret";
    downloadFile(gated);
    EXPECT_EQ(lastToken_, "Bearer secret");
    fs::remove(folder_ / "weights.bin");
    // localhost and 127.0.0.1 are two hosts to a client.
    server_.Get("/elsewhere", [this](const httplib::Request&, httplib::Response& response) {
        response.set_redirect(fmt::format("http://localhost:{}/file", port_));
    });
    gated.url = fmt::format("http://127.0.0.1:{}/elsewhere", port_);
    downloadFile(gated);
    EXPECT_EQ(lastToken_, "");
}

TEST_F(Download, NobodyListens) {
    DownloadRequest nowhere = request("/file");
    nowhere.url = "http://127.0.0.1:9/file";
    nowhere.attempts = 2;
    EXPECT_THAT(errorOf(nowhere), testing::HasSubstr("127.0.0.1"));
}

}  // namespace
}  // namespace medseg
