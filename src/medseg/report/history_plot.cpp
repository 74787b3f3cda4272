#include "medseg/report/history_plot.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/progress.h"
#include "medseg/report/chart_frame.h"
#include "medseg/report/charts.h"

namespace medseg {
namespace {

constexpr Color kLearningRateColor{200, 205, 214};

LineSeries column(const TrainingHistory& history, const char* name, double EpochRecord::*value, Color color) {
    LineSeries series{.name = name, .color = color, .markers = true};
    for (const EpochRecord& record : history.epochs) {
        // Epochs without validation are bridged, not left as gaps.
        if (std::isnan(record.*value)) continue;
        series.x.push_back(record.epoch);
        series.y.push_back(record.*value);
    }
    return series;
}

Axis epochAxis(const TrainingHistory& history) {
    Axis axis{.label = "epoch", .integers = true};
    if (!history.epochs.empty()) {
        axis.min = history.epochs.front().epoch;
        axis.max = std::max(history.epochs.back().epoch, history.epochs.front().epoch + 1);
    }
    return axis;
}

LineChart lossChart(const TrainingHistory& history, const std::vector<LineMarker>& markers) {
    LineChart chart{.title = "Loss", .x = epochAxis(history), .y = {.label = "loss"}, .markers = markers};
    chart.right = {.label = "learning rate", .logarithmic = true};
    LineSeries rate = column(history, "learning rate", &EpochRecord::learningRate, kLearningRateColor);
    rate.rightAxis = true;
    rate.markers = false;
    rate.steps = true;
    rate.width = 1.5;
    LineSeries train = column(history, "training", &EpochRecord::trainLoss, palette::kBlue);
    LineSeries validation = column(history, "validation", &EpochRecord::validationLoss, palette::kVermilion);
    if (!train.x.empty()) chart.series.push_back(std::move(train));
    if (!validation.x.empty()) chart.series.push_back(std::move(validation));
    const bool ratesKnown = std::any_of(rate.y.begin(), rate.y.end(), [](double value) { return value > 0; });
    if (ratesKnown) chart.series.push_back(std::move(rate));
    return chart;
}

LineChart diceChart(const TrainingHistory& history, const std::vector<LineMarker>& markers) {
    LineChart chart{.title = "Validation Dice",
                    .x = epochAxis(history),
                    .y = {.label = "mean Dice", .min = 0, .max = 1},
                    .markers = markers};
    LineSeries dice = column(history, "validation", &EpochRecord::validationDice, palette::kGreen);
    if (!dice.x.empty()) chart.series.push_back(std::move(dice));
    return chart;
}

std::string summary(const TrainingHistory& history) {
    if (history.epochs.empty()) return "no epoch finished yet";
    double seconds = 0;
    for (const EpochRecord& record : history.epochs) seconds += record.seconds;
    std::string text = fmt::format("{} epoch{}", history.epochs.size(), history.epochs.size() == 1 ? "" : "s");
    if (seconds > 0) text += fmt::format(", {}", formatDuration(seconds));
    if (const auto best = history.best()) {
        text += fmt::format(", best epoch {}", best->epoch);
        if (!std::isnan(best->validationDice)) text += fmt::format(" with Dice {:.3f}", best->validationDice);
    }
    return text;
}

}  // namespace

Canvas renderTrainingHistory(const TrainingHistory& history) {
    Canvas canvas(1000, 420);
    const Rect sheet = canvas.bounds().inset(chart::kMargin, 20, chart::kMargin, 16);
    canvas.text({sheet.x, sheet.y + 9}, "Training history", chart::kTitle);
    canvas.text({sheet.right(), sheet.y + 9}, summary(history), chart::aligned(chart::kSubtitle, TextAlign::Right));

    std::vector<LineMarker> markers;
    if (const auto best = history.best()) markers.push_back({static_cast<double>(best->epoch), "best"});
    const Rect panels = sheet.inset(0, 34, 0, 0);
    const double gap = 36, half = (panels.width - gap) / 2;
    drawLineChart(canvas, {panels.x, panels.y, half, panels.height}, lossChart(history, markers));
    drawLineChart(canvas, {panels.x + half + gap, panels.y, half, panels.height}, diceChart(history, markers));
    return canvas;
}

void writeTrainingHistoryPlot(const std::filesystem::path& path, const TrainingHistory& history) {
    renderTrainingHistory(history).writePng(path);
}

}  // namespace medseg
