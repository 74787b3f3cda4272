#include "medseg/train/data_parallel.h"

#include <chrono>
#include <cstdlib>

#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "medseg/base/error.h"
#include "medseg/base/logging.h"

namespace medseg {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kSilence = std::chrono::minutes(10);
constexpr milliseconds kPreparation = std::chrono::hours(24 * 7);
constexpr const char* kReleased = "released";

std::string firstLine(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

std::shared_ptr<::gloo::transport::Device> networkDevice(const std::string& address) {
    using Group = c10d::ProcessGroupGloo;
    if (const char* interface = std::getenv("GLOO_SOCKET_IFNAME")) return Group::createDeviceForInterface(interface);
    const bool local = address == "localhost" || address.starts_with("127.");
    return local ? Group::createDeviceForHostname("127.0.0.1") : Group::createDefaultDevice();
}

}  // namespace

struct DataParallel::Connection {
    c10::intrusive_ptr<c10d::TCPStore> store;
    c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
};

struct DataParallel::PendingSum : DataParallel::Pending {
    PendingSum(const DataParallel& owner, c10::intrusive_ptr<c10d::Work> started)
        : ranks(owner), work(std::move(started)) {}
    void wait() override {
        ranks.guarded([&] { work->wait(); });
    }
    const DataParallel& ranks;
    c10::intrusive_ptr<c10d::Work> work;
};

DataParallel::DataParallel(const RankSettings& settings)
    : settings_(settings), connection_(std::make_unique<Connection>()) {
    try {
        c10d::TCPStoreOptions options;
        options.port = static_cast<std::uint16_t>(settings_.port);
        options.isServer = isFirst();
        options.numWorkers = static_cast<std::size_t>(settings_.size);
        options.timeout = kSilence;
        connection_->store = c10::make_intrusive<c10d::TCPStore>(settings_.address, options);
        const auto group = c10d::ProcessGroupGloo::Options::create(kSilence);
        group->devices.push_back(networkDevice(settings_.address));
        connection_->group = c10::make_intrusive<c10d::ProcessGroupGloo>(
            c10::make_intrusive<c10d::PrefixStore>("gloo", connection_->store), settings_.rank, settings_.size, group);
    } catch (const std::exception& error) {
        logDebug("{}", error.what());
        throw WorkError(fmt::format(
            "rank {} of {} did not meet the others at {}:{} ({}): are all {} processes running, is the port "
            "free, and can every machine reach that address (MASTER_ADDR, MASTER_PORT)?",
            settings_.rank, settings_.size, settings_.address, settings_.port, firstLine(error.what()),
            settings_.size));
    }
}

DataParallel::~DataParallel() = default;

void DataParallel::throwLostContact(const std::string& cause) const {
    logDebug("{}", cause);
    if (settings_.launched) throw Error(static_cast<ExitCode>(kLostContactCode), "");
    throw WorkError(fmt::format(
        "rank {} of {} lost contact to another rank: the job was stopped: continue from its last checkpoint "
        "with --resume",
        settings_.rank, settings_.size));
}

void DataParallel::guarded(const std::function<void()>& work) const {
    try {
        work();
    } catch (const std::exception& error) {
        throwLostContact(error.what());
    }
}

void DataParallel::releaseOthers() {
    guarded([&] { connection_->store->set(kReleased, std::vector<std::uint8_t>{1}); });
}

void DataParallel::waitForFirst() {
    guarded([&] { connection_->store->wait({kReleased}, kPreparation); });
}

std::unique_ptr<DataParallel::Pending> DataParallel::startSum(const torch::Tensor& tensor) {
    std::unique_ptr<Pending> pending;
    guarded([&] {
        std::vector<torch::Tensor> tensors{tensor};
        pending = std::make_unique<PendingSum>(*this, connection_->group->allreduce(tensors));
    });
    return pending;
}

void DataParallel::sum(torch::Tensor& tensor) {
    torch::Tensor host = tensor.to(torch::kCPU).contiguous();
    startSum(host)->wait();
    if (!host.is_same(tensor)) tensor.copy_(host);
}

double DataParallel::sum(double value) {
    torch::Tensor tensor = torch::full({1}, value, torch::kDouble);
    sum(tensor);
    return tensor.item<double>();
}

void DataParallel::broadcast(const std::vector<torch::Tensor>& tensors) {
    torch::NoGradGuard noGradient;
    for (const torch::Tensor& tensor : tensors) {
        if (tensor.numel() == 0) continue;
        const torch::Tensor host = tensor.detach().to(torch::kCPU).contiguous();
        guarded([&] {
            std::vector<torch::Tensor> sent{host};
            connection_->group->broadcast(sent)->wait();
        });
        tensor.detach().copy_(host);
    }
}

bool DataParallel::broadcast(bool value) {
    const torch::Tensor tensor = torch::full({1}, value ? 1 : 0, torch::kInt);
    broadcast({tensor});
    return tensor.item<int>() != 0;
}

void DataParallel::average(const std::vector<torch::Tensor>& tensors) {
    torch::NoGradGuard noGradient;
    for (const torch::Tensor& tensor : tensors) {
        if (!tensor.is_floating_point() || tensor.numel() == 0) continue;
        torch::Tensor host = tensor.detach().to(torch::kCPU).contiguous().clone();
        startSum(host)->wait();
        tensor.detach().copy_(host.div_(size()));
    }
}

bool DataParallel::any(bool value) {
    torch::Tensor tensor = torch::full({1}, value ? 1 : 0, torch::kInt);
    sum(tensor);
    return tensor.item<int>() > 0;
}

}  // namespace medseg
