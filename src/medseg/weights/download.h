// Fetching a file over HTTP: resumable, checked, atomic. Nothing is ever fetched unless a person asks for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace medseg {

struct DownloadRequest {
    std::string url;
    std::filesystem::path output;
    std::string sha256;  ///< expected, 64 hex digits; empty: what the server says, if it says so
    std::string token;   ///< sent as a bearer token to the host of `url` only, never to hosts it redirects to
    int attempts = 3;    ///< connections that break or servers that fail (5xx) are tried again
    double pause = 1;    ///< seconds before the second attempt; doubles each time
};

struct DownloadResult {
    std::uint64_t bytes = 0;
    std::string sha256;
    bool resumed = false;  ///< continued an earlier download
    bool checked = false;  ///< the sum was compared with an expected one
};

/// Downloads to OUTPUT.partial and renames it when complete; OUTPUT.sha256 then holds the sum. A partial file of the
/// same version (ETag) is continued, of another one begun anew. Redirects are followed. Throws WorkError: the server
/// refuses (401 and 403 say what to do about gated weights), is not there, breaks off (what has arrived stays for the
/// next call), or the sum is wrong (the file is removed); InterruptedError.
DownloadResult downloadFile(const DownloadRequest& request);

/// The interface behind which libmedseg_transfer (libcurl) stands.
class TransferModule {
  public:
    virtual ~TransferModule() = default;
    virtual DownloadResult download(const DownloadRequest& request) = 0;
};

}  // namespace medseg
