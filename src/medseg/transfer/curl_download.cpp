// Downloads through libcurl: the only file that knows it.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

#include <curl/curl.h>
#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/progress.h"
#include "medseg/base/sha256.h"
#include "medseg/weights/download.h"

namespace medseg {
namespace {

constexpr long kMostRedirects = 10;
constexpr long kConnectSeconds = 30;
constexpr long kStalledSeconds = 60;
constexpr std::int64_t kMegabyte = 1 << 20;

struct CurlDeleter {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FileCloser {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

std::string trimmed(const std::string& text) {
    const auto first = text.find_first_not_of(" \t\r\n\"");
    const auto last = text.find_last_not_of(" \t\r\n\"");
    return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

bool isSha256(const std::string& text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// One attempt: what the server said and where its bytes go.
struct Transfer {
    fs::path partial;
    std::unique_ptr<std::FILE, FileCloser> file;
    std::int64_t offset = 0;      ///< bytes that were there before
    std::string etag;             ///< of the file that is sent
    std::string announcedSum;     ///< X-Linked-ETag of Hugging Face, or an ETag that is a SHA-256
    std::string expectedVersion;  ///< ETag of the partial file
    bool writeFailed = false;
    bool bodyStarted = false;
    CURL* handle = nullptr;
    std::unique_ptr<Progress> progress;
    std::int64_t shown = 0;
};

/// Each response of a chain of redirects comes through here.
std::size_t onHeader(char* data, std::size_t size, std::size_t count, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    const std::string line(data, size * count);
    if (line.starts_with("HTTP/")) transfer.etag.clear();
    const auto colon = line.find(':');
    if (colon != std::string::npos) {
        const std::string name = lower(line.substr(0, colon)), value = trimmed(line.substr(colon + 1));
        if (name == "etag") transfer.etag = value;
        if ((name == "x-linked-etag" || name == "etag") && isSha256(lower(value))) transfer.announcedSum = lower(value);
    }
    return size * count;
}

/// The first bytes of a body tell whether the server continues (206) or sends all (200).
bool startBody(Transfer& transfer) {
    long status = 0;
    curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
    if (status != 206) transfer.offset = 0;
    transfer.file.reset(std::fopen(transfer.partial.c_str(), status == 206 ? "ab" : "wb"));
    if (!transfer.file) return false;
    writeTextFile(transfer.partial.string() + ".etag", transfer.etag);
    return true;
}

std::size_t onBody(char* data, std::size_t size, std::size_t count, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    long status = 0;
    curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 300) return size * count;  // the text of a redirect or an error is nothing to keep
    if (!transfer.bodyStarted) {
        transfer.bodyStarted = true;
        transfer.writeFailed = !startBody(transfer);
    }
    if (!transfer.writeFailed) transfer.writeFailed = std::fwrite(data, size, count, transfer.file.get()) != count;
    return transfer.writeFailed ? 0 : size * count;
}

int onProgress(void* user, curl_off_t total, curl_off_t now, curl_off_t, curl_off_t) {
    auto& transfer = *static_cast<Transfer*>(user);
    if (total > kMegabyte) {
        const std::int64_t all = (transfer.offset + total) / kMegabyte, done = (transfer.offset + now) / kMegabyte;
        if (!transfer.progress)
            transfer.progress = std::make_unique<Progress>(transfer.partial.stem().string(), all, "MB");
        transfer.progress->advance(done - transfer.shown);
        transfer.shown = done;
    }
    return interruptRequested() ? 1 : 0;
}

std::int64_t sizeOf(const fs::path& file) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    return error ? 0 : static_cast<std::int64_t>(size);
}

struct Attempt {
    CURLcode code = CURLE_OK;
    long status = 0;
    std::string message;
    std::string announcedSum;
    bool resumed = false;
    bool writeFailed = false;
};

Attempt attemptDownload(const DownloadRequest& request, const fs::path& partial) {
    Transfer transfer;
    transfer.partial = partial;
    transfer.offset = sizeOf(partial);
    const fs::path versionFile = partial.string() + ".etag";
    if (fs::exists(versionFile)) transfer.expectedVersion = readTextFile(versionFile);
    // Without a version nobody knows whether the rest belongs to the same file.
    if (transfer.expectedVersion.empty()) transfer.offset = 0;
    const std::unique_ptr<CURL, CurlDeleter> handle(curl_easy_init());
    if (!handle) throw WorkError("libcurl cannot be started");
    transfer.handle = handle.get();
    CURL* curl = handle.get();
    char error[CURL_ERROR_SIZE] = {};
    curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kMostRedirects);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "medseg");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, onHeader);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, onBody);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, onProgress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
    if (!request.token.empty()) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request.token.c_str());
    }
    curl_slist* headers = nullptr;
    if (transfer.offset > 0) {
        headers = curl_slist_append(headers, fmt::format("If-Range: \"{}\"", transfer.expectedVersion).c_str());
        headers = curl_slist_append(headers, fmt::format("Range: bytes={}-", transfer.offset).c_str());
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    }
    const std::int64_t before = transfer.offset;
    Attempt attempt;
    attempt.code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &attempt.status);
    attempt.message = *error != '\0' ? error : curl_easy_strerror(attempt.code);
    attempt.announcedSum = transfer.announcedSum;
    attempt.resumed = before > 0 && attempt.status == 206;
    attempt.writeFailed = transfer.writeFailed;
    if (transfer.file && std::fflush(transfer.file.get()) != 0) attempt.writeFailed = true;
    // An empty file has no body to start.
    if (attempt.code == CURLE_OK && attempt.status == 200 && !transfer.bodyStarted) startBody(transfer);
    return attempt;
}

void removePartial(const fs::path& partial) {
    std::error_code ignored;
    fs::remove(partial, ignored);
    fs::remove(partial.string() + ".etag", ignored);
}

[[noreturn]] void failFor(const Attempt& attempt, const DownloadRequest& request) {
    const std::string& url = request.url;
    if (attempt.status == 401 || attempt.status == 403)
        throw WorkError(url, fmt::format("the server refuses (HTTP {}): accept the licence on the model's page and set "
                                         "HF_TOKEN to a token of your account",
                                         attempt.status));
    if (attempt.status == 404) throw WorkError(url, "there is no such file (HTTP 404)");
    if (attempt.status >= 400) throw WorkError(url, fmt::format("the server answers HTTP {}", attempt.status));
    throw WorkError(url,
                    fmt::format("{}: what has arrived is kept, run the command again to continue", attempt.message));
}

bool worthAnotherTry(const Attempt& attempt) {
    if (attempt.status >= 500 || attempt.status == 429 || attempt.status == 416) return true;
    switch (attempt.code) {
        case CURLE_COULDNT_CONNECT:
        case CURLE_OPERATION_TIMEDOUT:
        case CURLE_PARTIAL_FILE:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_GOT_NOTHING:
            return true;
        default:
            return false;
    }
}

class CurlModule : public TransferModule {
  public:
    CurlModule() { curl_global_init(CURL_GLOBAL_DEFAULT); }

    DownloadResult download(const DownloadRequest& request) override {
        const fs::path partial = request.output.string() + ".partial";
        if (!request.output.parent_path().empty()) createDirectories(request.output.parent_path());
        DownloadResult result;
        std::string announced;
        for (int number = 1;; ++number) {
            const Attempt attempt = attemptDownload(request, partial);
            if (interruptRequested())
                throw InterruptedError("interrupted: run the command again to continue the download");
            if (attempt.writeFailed)
                throw WorkError(partial.string(), "cannot be written: check the disk's free space");
            result.resumed = result.resumed || attempt.resumed;
            if (!attempt.announcedSum.empty()) announced = attempt.announcedSum;
            if (attempt.code == CURLE_OK && attempt.status < 300) break;
            if (attempt.status == 416) removePartial(partial);  // more than the file has: another version
            if (number >= request.attempts || !worthAnotherTry(attempt)) failFor(attempt, request);
            std::this_thread::sleep_for(std::chrono::duration<double>(request.pause * (1 << (number - 1))));
        }
        finish(request, partial, announced, result);
        return result;
    }

  private:
    static void finish(const DownloadRequest& request, const fs::path& partial, const std::string& announced,
                       DownloadResult& result) {
        result.bytes = static_cast<std::uint64_t>(sizeOf(partial));
        result.sha256 = sha256OfFile(partial);
        const std::string expected = request.sha256.empty() ? announced : lower(request.sha256);
        result.checked = !expected.empty();
        if (result.checked && result.sha256 != expected) {
            removePartial(partial);
            throw WorkError(request.url, fmt::format("the bytes that arrived have the SHA-256 sum {} instead of {}: "
                                                     "removed, download again",
                                                     result.sha256, expected));
        }
        std::error_code error;
        fs::rename(partial, request.output, error);
        if (error) throw WorkError(request.output.string(), "cannot be written: " + error.message());
        removePartial(partial);
        writeTextFile(request.output.string() + ".sha256",
                      fmt::format("{}  {}\n", result.sha256, request.output.filename().string()));
    }
};

}  // namespace
}  // namespace medseg

extern "C" medseg::TransferModule* medsegTransferModule() {
    static medseg::CurlModule module;
    return &module;
}
