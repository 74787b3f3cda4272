#include "medseg/train/trainer.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/base/progress.h"
#include "medseg/io/torch_checkpoint.h"
#include "medseg/nn/tensor_bridge.h"
#include "medseg/report/history_plot.h"

namespace medseg {
namespace {

double secondsSince(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Seconds since 1970.
double wallClock() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// NaN has no place in JSON.
nlohmann::json numberOrNull(double value) {
    return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

double numberFrom(const nlohmann::json& value) {
    return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

nlohmann::json toJson(const TrainingHistory& history) {
    auto list = nlohmann::json::array();
    for (const EpochRecord& r : history.epochs)
        list.push_back({r.epoch, numberOrNull(r.trainLoss), numberOrNull(r.validationLoss),
                        numberOrNull(r.validationDice), numberOrNull(r.learningRate), numberOrNull(r.seconds),
                        numberOrNull(r.idleShare)});
    return list;
}

TrainingHistory historyFrom(const nlohmann::json& list) {
    TrainingHistory history;
    for (const auto& r : list)
        history.epochs.push_back({r.at(0).get<int>(), numberFrom(r.at(1)), numberFrom(r.at(2)), numberFrom(r.at(3)),
                                  numberFrom(r.at(4)), numberFrom(r.at(5)), numberFrom(r.at(6))});
    return history;
}

std::vector<torch::Tensor> trainable(const torch::nn::Module& network) {
    std::vector<torch::Tensor> parameters;
    for (const auto& parameter : network.parameters())
        if (parameter.requires_grad()) parameters.push_back(parameter);
    return parameters;
}

}  // namespace

Trainer::Trainer(const TrainSettings& settings, TrainingTask& task, fs::path output, DataParallel* ranks)
    : settings_(settings),
      task_(task),
      output_(std::move(output)),
      names_(task.checkpointNames()),
      learningRate_(settings),
      optimizer_(settings, trainable(task.network())),
      parameters_(trainable(task.network())),
      lossScale_(task.precision()),
      ranks_(ranks) {
    if (ranks_ != nullptr) gradientAverage_ = std::make_unique<GradientAverage>(*ranks_, parameters_);
    if (settings_.emaDecay > 0) average_ = std::make_unique<WeightAverage>(task_.network(), settings_.emaDecay);
}

TrainOutcome Trainer::run(bool resume, const fs::path& checkpoint) {
    if (writes()) createDirectories(output_);
    if (!checkpoint.empty())
        load(checkpoint);
    else if (resume && fs::exists(output_ / names_.latest))
        load(output_ / names_.latest);
    else if (writes())
        fs::remove_all(output_ / "events");  // of another run
    if (ranks_ != nullptr) {
        ranks_->broadcast(task_.network().parameters());
        ranks_->broadcast(task_.network().buffers());
    }
    if (settings_.tensorboard && writes()) events_ = std::make_unique<EventFile>(output_ / "events");
    std::vector<double> epochSeconds;
    double waited = 0, total = 0;
    while (epoch_ < settings_.epochs && !shouldStopEarly()) {
        trainEpoch();
        const EpochRecord& last = history_.epochs.back();
        epochSeconds.push_back(last.seconds);
        waited += last.idleShare * last.seconds;
        total += last.seconds;
    }
    if (ranks_ != nullptr) ranks_->barrier();  // nobody leaves while another still talks
    TrainOutcome outcome;
    outcome.epochs = epoch_;
    outcome.bestEpoch = bestEpoch_;
    outcome.bestDice = bestDice_;
    if (!epochSeconds.empty()) {
        std::nth_element(epochSeconds.begin(), epochSeconds.begin() + epochSeconds.size() / 2, epochSeconds.end());
        outcome.secondsPerEpoch = epochSeconds[epochSeconds.size() / 2];
        outcome.idleShare = total > 0 ? waited / total : 0;
    }
    outcome.bestModel = output_ / (bestEpoch_ > 0 ? names_.best : names_.latest);
    return outcome;
}

StepPosition Trainer::position() const {
    const std::int64_t batches = task_.batchesPerEpoch(), accumulate = settings_.accumulate;
    const std::int64_t perEpoch = (batches + accumulate - 1) / accumulate;
    return {epoch_ + static_cast<double>(batch_) / static_cast<double>(batches),
            epoch_ * perEpoch + (batch_ + accumulate - 1) / accumulate, perEpoch * settings_.epochs};
}

double Trainer::currentRate() const {
    return learningRate_.at(position());
}

void Trainer::trainEpoch() {
    const auto start = Clock::now();
    const std::int64_t batches = task_.batchesPerEpoch();
    const double firstRate = currentRate();
    task_.beginEpoch(epoch_, batch_);
    task_.network().train();
    Progress progress(fmt::format("epoch {}/{}", epoch_ + 1, settings_.epochs), batches, "batches");
    progress.advance(batch_);
    while (batch_ < batches) {
        const std::int64_t step = std::min<std::int64_t>(settings_.accumulate, batches - batch_);
        trainStep(step);
        progress.setNote(progressNote());
        progress.advance(step);
        if (stopRequested()) {
            epochSeconds_ += secondsSince(start);
            averageStatistics();
            saveLatest();
            if (!writes()) throw InterruptedError("");  // the first rank says it
            throw InterruptedError(fmt::format("interrupted: state saved in {}: continue with --resume",
                                               (output_ / names_.latest).string()));
        }
    }
    averageStatistics();
    if (ranks_ != nullptr) lossSum_ = ranks_->sum(lossSum_) / ranks_->size();
    EpochRecord record;
    record.epoch = epoch_ + 1;
    record.trainLoss = lossSum_ / static_cast<double>(std::max<std::int64_t>(1, batches));
    record.learningRate = firstRate;
    const double trained = secondsSince(start);
    record.idleShare = trained > 0 ? task_.waitedSeconds() / trained : 0;
    const bool validate = (epoch_ + 1) % settings_.validateEvery == 0 || epoch_ + 1 == settings_.epochs;
    if (validate) validateEpoch(record);
    record.seconds = epochSeconds_ + secondsSince(start);
    if (validate)
        progress.setNote(fmt::format("loss {:.4f}, validation loss {:.4f}, Dice {:.4f}, waited {:.1f} %",
                                     record.trainLoss, record.validationLoss, record.validationDice,
                                     100 * record.idleShare));
    progress.finish();
    const bool improved = validate && record.validationDice > bestDice_;
    finishEpoch(record, improved);
}

/// Ranks stop after the same step.
bool Trainer::stopRequested() {
    return ranks_ != nullptr ? ranks_->any(interruptRequested()) : interruptRequested();
}

void Trainer::averageStatistics() {
    if (ranks_ != nullptr) ranks_->average(task_.network().buffers());
}

std::string Trainer::progressNote() const {
    std::string note =
        fmt::format("loss {:.4f}, step size {:.2g}", lossSum_ / static_cast<double>(batch_), currentRate());
    if (bestEpoch_ > 0) note += fmt::format(", best Dice {:.4f}", bestDice_);
    if (!history_.epochs.empty()) {
        double seconds = 0;
        for (const EpochRecord& record : history_.epochs) seconds += record.seconds;
        const double each = seconds / static_cast<double>(history_.epochs.size());
        note += fmt::format(", run {} left", formatDuration(each * (settings_.epochs - epoch_)));
    }
    return note;
}

double Trainer::batchLoss(std::int64_t share) {
    const torch::Tensor loss = task_.nextLoss();
    const double value = loss.item<double>();
    if (!std::isfinite(value))
        throw WorkError(
            fmt::format("the loss became {} in epoch {}, batch {}: lower train.learning_rate; the last good "
                        "checkpoint is kept in {}",
                        value, epoch_ + 1, batch_ + 1, output_.string()));
    const double divisor = static_cast<double>(share) / task_.batchShare();
    lossScale_.scaled(divisor != 1 ? loss / divisor : loss).backward();
    return value * task_.batchShare();
}

void Trainer::trainStep(std::int64_t batches) {
    optimizer_.zeroGradients();
    const double rate = currentRate();
    optimizer_.setFirstBeta(learningRate_.firstBeta(position()));
    for (std::int64_t i = 0; i < batches; ++i) {
        if (gradientAverage_ && i + 1 == batches) gradientAverage_->expect();
        lossSum_ += batchLoss(batches);
        ++batch_;
    }
    if (gradientAverage_) gradientAverage_->finish();
    if (!lossScale_.unscale(parameters_)) return;  // fp16 overflowed: the next step tries a smaller scale
    if (settings_.gradientClip > 0) optimizer_.clipGradients(settings_.gradientClip);
    optimizer_.step(rate);
    if (average_) average_->update(task_.network());
}

void Trainer::validateEpoch(EpochRecord& record) {
    if (average_) {
        average_->swapWith(task_.network());
        averageStatistics();
    }
    task_.network().eval();
    ValidationResult result;
    {
        torch::NoGradGuard noGradient;
        result = task_.validate();
    }
    record.validationLoss = result.loss;
    record.validationDice = result.dice;
    // Saved while the averaged weights are in the network: best.pth holds what was measured.
    if (result.dice > bestDice_ && writes()) writeTorchFile(output_ / names_.best, checkpoint(false));
    if (writes() && settings_.sampleEvery > 0 &&
        ((epoch_ + 1) % settings_.sampleEvery == 0 || epoch_ + 1 == settings_.epochs))
        task_.drawSamples(output_ / "samples" / fmt::format("epoch{}.png", epoch_ + 1));
    if (average_) average_->swapWith(task_.network());
    learningRate_.onValidation(result.dice);
}

void Trainer::finishEpoch(const EpochRecord& record, bool improved) {
    history_.epochs.push_back(record);
    if (improved) {
        bestDice_ = record.validationDice;
        bestEpoch_ = record.epoch;
        validationsSinceBest_ = 0;
    } else if (!std::isnan(record.validationDice)) {
        ++validationsSinceBest_;
    }
    ++epoch_;
    batch_ = 0;
    lossSum_ = 0;
    epochSeconds_ = 0;
    if (!writes()) return;
    saveLatest();
    if (settings_.saveEvery > 0 && epoch_ % settings_.saveEvery == 0) saveNumbered();
    writeTrainingHistory(output_ / (names_.history + ".json"), history_);
    writeTrainingHistoryPlot(output_ / (names_.history + ".png"), history_);
    if (events_)
        events_->addScalars(record.epoch, wallClock(),
                            {{"loss/train", record.trainLoss},
                             {"loss/validation", record.validationLoss},
                             {"dice/validation", record.validationDice},
                             {"learning_rate", record.learningRate},
                             {"epoch_seconds", record.seconds}});
}

bool Trainer::shouldStopEarly() const {
    if (settings_.earlyStop == 0 || validationsSinceBest_ < settings_.earlyStop) return false;
    logInfo("stopped early: no better Dice for {} validations", validationsSinceBest_);
    return true;
}

PickleValue Trainer::checkpoint(bool withOptimizer) {
    PickleValue file = task_.description();
    file.set("epoch", epoch_ + (withOptimizer ? 0 : 1));
    task_.addWeights(file);
    if (!withOptimizer) return file;
    file.set("optimizer_state_dict", optimizer_.stateDict(currentRate()));
    if (average_) file.set("average", average_->stateDict());
    const nlohmann::json state{{"epoch", epoch_},
                               {"batch", batch_},
                               {"loss_sum", numberOrNull(lossSum_)},
                               {"epoch_seconds", epochSeconds_},
                               {"best_epoch", bestEpoch_},
                               {"best_dice", numberOrNull(bestDice_)},
                               {"validations_since_best", validationsSinceBest_},
                               {"learning_rate", learningRate_.state()},
                               {"loss_scale", {lossScale_.factor(), lossScale_.goodSteps()}},
                               {"history", toJson(history_)}};
    file.set("training_state", state.dump());
    return file;
}

void Trainer::saveLatest() {
    if (!writes()) return;
    writeTorchFile(output_ / names_.latest, checkpoint(true));
}

void Trainer::saveNumbered() {
    const auto numbered = [&](int epoch) { return output_ / fmt::format(fmt::runtime(names_.numbered), epoch); };
    writeTorchFile(numbered(epoch_), checkpoint(true));
    if (settings_.keepCheckpoints > 0) {
        std::error_code ignored;  // an old file that is already gone is no problem
        fs::remove(numbered(epoch_ - settings_.keepCheckpoints * settings_.saveEvery), ignored);
    }
}

void Trainer::load(const fs::path& file) {
    const std::string name = file.string();
    const TorchFile saved = readTorchFile(file);
    task_.loadWeights(saved.root, file);
    optimizer_.loadStateDict(saved.root.at("optimizer_state_dict"), name);
    if (average_) average_->load(saved.root.at("average"), name);
    try {
        const auto state = nlohmann::json::parse(saved.root.at("training_state").asString());
        epoch_ = state.at("epoch");
        batch_ = state.at("batch");
        lossSum_ = numberFrom(state.at("loss_sum"));
        epochSeconds_ = state.at("epoch_seconds");
        bestEpoch_ = state.at("best_epoch");
        bestDice_ = numberFrom(state.at("best_dice"));
        validationsSinceBest_ = state.at("validations_since_best");
        learningRate_.setState(state.at("learning_rate"));
        if (state.contains("loss_scale"))  // older files have none
            lossScale_.setState(state.at("loss_scale").at(0), state.at("loss_scale").at(1));
        history_ = historyFrom(state.at("history"));
    } catch (const nlohmann::json::exception& error) {
        throw DataError(name, fmt::format("the training state is damaged: {}", error.what()));
    }
    logInfo("resumed from {} after epoch {}, batch {}", name, epoch_, batch_);
}

}  // namespace medseg
