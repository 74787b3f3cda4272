#include "medseg/weights/download.h"

#include "medseg/base/late_library.h"

namespace medseg {

DownloadResult downloadFile(const DownloadRequest& request) {
    static TransferModule& module = *reinterpret_cast<TransferModule* (*)()>(
        openLateLibrary("libmedseg_transfer.so", "medsegTransferModule",
                        "this medseg was built without libcurl: download the file by other means"))();
    return module.download(request);
}

}  // namespace medseg
