// The door of libmedseg_nn: what loadNetworkModule() finds.
#include <fmt/format.h>
#include <malloc.h>
#include <torch/torch.h>
#include <torch/version.h>

#include "medseg/base/error.h"
#include "medseg/base/logging.h"
#include "medseg/base/threads.h"
#include "medseg/infer/explanation.h"
#include "medseg/infer/prediction.h"
#include "medseg/infer/prompted_evaluation.h"
#include "medseg/infer/prompted_prediction.h"
#include "medseg/infer/propagated_prediction.h"
#include "medseg/infer/reconstruction.h"
#include "medseg/infer/slice_segmenter.h"
#include "medseg/infer/volume_segmenter.h"
#include "medseg/nn/network_module.h"
#include "medseg/nn/sam/sam_file.h"
#include "medseg/nn/sam2/model_file.h"
#include "medseg/train/data_parallel.h"
#include "medseg/train/quantization.h"
#include "medseg/train/reconstruction_training.h"
#include "medseg/train/task_registry.h"
#include "medseg/train/threshold_search.h"
#include "medseg/train/trainer.h"

namespace medseg {
namespace {

/// Runs `work` and turns torch's exceptions, whose text spans many lines, into ours.
template <typename Work>
auto translatingErrors(Work&& work) {
    try {
        return work();
    } catch (const c10::Error& error) {
        const std::string text = error.what_without_backtrace();
        if (text.find("memory") != std::string::npos)
            throw WorkError(
                fmt::format("out of memory: lower train.batch_size, predict.batch_size, prepare.image_size or "
                            "model.patch_size ({})",
                            text.substr(0, text.find('\n'))));
        throw WorkError(text.substr(0, text.find('\n')));
    } catch (const std::bad_alloc&) {
        throw WorkError(
            "out of memory: lower train.batch_size, predict.batch_size, prepare.image_size or model.patch_size");
    }
}

std::vector<LoadedModel> loadModels(const std::vector<std::filesystem::path>& paths) {
    std::vector<LoadedModel> models;
    for (const auto& path : paths) models.push_back(loadModel(path));
    return models;
}

std::unique_ptr<Segmenter> makeSegmenter(std::vector<LoadedModel> models, const SegmenterOptions& options) {
    if (models.front().recipe.model.dimensions == 3)
        return std::make_unique<VolumeSegmenter>(std::move(models), options);
    return std::make_unique<SliceSegmenter>(std::move(models), options);
}

class TorchNetworkModule : public NetworkModule {
  public:
    TorchNetworkModule() {
        // Tensors of hundreds of megabytes come and go in every step: keep their pages instead of returning them.
        ::mallopt(M_MMAP_MAX, 0);
        ::mallopt(M_TRIM_THRESHOLD, INT_MAX);
        ::mallopt(M_TOP_PAD, 64 << 20);
        torch::set_num_threads(threadCount());
    }

    void joinRanks(const RankSettings& settings) override {
        if (settings.rank > 0) configureLogging(LogLevel::Error);
        if (torch::cuda::is_available()) {
            const auto devices = static_cast<int>(torch::cuda::device_count());
            const auto own = static_cast<c10::DeviceIndex>(settings.localRank % devices);
            c10::impl::getDeviceGuardImpl(torch::kCUDA)->setDevice({torch::kCUDA, own});  // what "cuda" means
        }
        ranks_ = new DataParallel(settings);
        logInfo("{} processes train together", settings.size);
    }
    void releaseOtherRanks() override { ranks_->releaseOthers(); }
    void waitForFirstRank() override { ranks_->waitForFirst(); }

    TrainOutcome train(const TrainRequest& request) override {
        return translatingErrors([&] {
            torch::manual_seed(request.recipe.seed);
            TrainRequest ours = request;
            if (ranks_ != nullptr) {
                ours.writes = ranks_->isFirst();
                ours.resume = ranks_->broadcast(request.resume);
            }
            if (request.recipe.model.kind == "sam3d") return trainReconstruction(ours, ranks_);
            const std::unique_ptr<TrainingTask> task = makeTrainingTask(ours);
            if (ranks_ != nullptr) task->join(*ranks_);
            Trainer trainer(ours.recipe.train, *task, ours.output, ranks_);
            return trainer.run(ours.resume, ours.resumeFrom);
        });
    }

    std::unique_ptr<Segmenter> openSegmenter(const std::vector<std::filesystem::path>& models,
                                             const SegmenterOptions& options) override {
        return translatingErrors([&] { return makeSegmenter(loadModels(models), options); });
    }

    PredictOutcome predict(const PredictRequest& request) override {
        return translatingErrors([&] {
            std::vector<LoadedModel> models = loadModels(request.models);
            PredictRequest complete = request;
            if (!complete.cleanup) complete.cleanup = cleanupFrom(models.front().recipe.predict);
            return predictFiles(*makeSegmenter(std::move(models), request.segmenter), complete);
        });
    }

    PromptedOutcome predictPrompted(const PromptedRequest& request) override {
        return translatingErrors([&] {
            if (request.propagation) return predictPropagatedFiles(request);
            const auto model = openPromptedModel(request.model, request.style, request.device, request.precision);
            return predictPromptedFiles(*model, request);
        });
    }

    PromptedEvaluation evaluatePrompted(const PromptedEvaluationRequest& request) override {
        return translatingErrors([&] {
            const auto model = openPromptedModel(request.model, request.style, request.device);
            return evaluatePromptedCases(*model, request);
        });
    }

    bool needsPrompts(const std::filesystem::path& model) override { return isSamFile(model) || isSam2File(model); }

    ReconstructOutcome reconstruct(const ReconstructRequest& request) override {
        return translatingErrors([&] { return reconstructFile(request); });
    }

    ReconstructOutcome reconstructCases(const ReconstructCasesRequest& request) override {
        return translatingErrors([&] { return medseg::reconstructCases(request); });
    }

    QuantizeOutcome quantize(const QuantizeRequest& request) override {
        return translatingErrors([&] { return quantizeModel(request); });
    }

    ThresholdOutcome searchThresholds(const ThresholdRequest& request) override {
        return translatingErrors([&] { return medseg::searchThresholds(request); });
    }

    ExplainOutcome explain(const ExplainRequest& request) override {
        return translatingErrors([&] { return explainSlice(request); });
    }

    std::string describe() override {
        return fmt::format(
            "libtorch {}, {}, {} threads", TORCH_VERSION,
            torch::cuda::is_available() ? fmt::format("{} CUDA devices", torch::cuda::device_count()) : "CPU",
            torch::get_num_threads());
    }

  private:
    /// Never deleted: its threads may wait for a rank that is gone, and end with the process.
    DataParallel* ranks_ = nullptr;
};

}  // namespace
}  // namespace medseg

extern "C" medseg::NetworkModule* medsegNetworkModule() {
    static medseg::TorchNetworkModule module;
    return &module;
}
