#include "medseg/infer/prompted_prediction.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/base/logging.h"
#include "medseg/base/progress.h"
#include "medseg/dataset/image_inputs.h"
#include "medseg/dataset/medsam_image.h"
#include "medseg/io/image_file.h"
#include "medseg/io/picture_file.h"

namespace medseg {
namespace {

constexpr float kInside = 0.5F;
/// Below this a CT shows air; pictures and MR do not reach it.
constexpr double kAirHu = -500;

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The labels of one slice and how sure each pixel is of its own.
class SlicePainter {
  public:
    explicit SlicePainter(SliceView<std::uint16_t> labels)
        : labels_(labels), best_(static_cast<std::size_t>(labels.width * labels.height), 0.0F) {}

    /// `scores`: width x height probabilities. Returns the pixels inside.
    std::int64_t paint(const float* scores, int label) {
        std::int64_t inside = 0;
        for (std::int64_t y = 0; y < labels_.height; ++y)
            for (std::int64_t x = 0; x < labels_.width; ++x) {
                const auto i = static_cast<std::size_t>(y * labels_.width + x);
                if (!(scores[i] > kInside)) continue;
                ++inside;
                if (scores[i] <= best_[i]) continue;
                best_[i] = scores[i];
                labels_(x, y) = static_cast<std::uint16_t>(label);
            }
        return inside;
    }

  private:
    SliceView<std::uint16_t> labels_;
    std::vector<float> best_;
};

bool sameMakeUp(const Prompt& a, const Prompt& b) {
    return a.box.has_value() == b.box.has_value() && a.points.size() == b.points.size();
}

LabelMap narrowed(Volume<std::uint16_t> labels, LabelTable table) {
    const auto values = labels.voxels();
    if (std::any_of(values.begin(), values.end(), [](std::uint16_t v) { return v > 255; }))
        return {std::move(labels), std::move(table)};
    Volume<std::uint8_t> small(labels.geometry());
    std::copy(values.begin(), values.end(), small.data());
    return {std::move(small), std::move(table)};
}

/// An image whose slices can be shown to a network.
struct OpenedImage {
    Geometry geometry;
    PictureSource picture;
};

OpenedImage openPicture(const fs::path& path) {
    const auto pixels = std::make_shared<PngPixels>(readPicturePixels(path));
    return {Geometry({pixels->width, pixels->height, 1}, identityAffine()), [pixels](std::int64_t) { return *pixels; }};
}

bool looksLikeCt(const StoredImage& image) {
    const Volume<float> values = scaledToFloat(image.voxels, image.header.slope, image.header.inter);
    return std::any_of(values.voxels().begin(), values.voxels().end(), [](float v) { return v < kAirHu; });
}

OpenedImage openVolume(const fs::path& path, const PictureRules& rules) {
    StoredImage image = readStoredImage(path);
    MedsamImageRules bytes;
    const std::string modality = !rules.modality.empty() ? rules.modality : looksLikeCt(image) ? "CT" : "other";
    if (rules.modality.empty())
        logInfo("{}: shown as {} (--modality chooses)", path.string(), modality == "CT" ? "CT" : "other than CT");
    bytes.modality = modalityFromName(modality);
    if (rules.window) bytes.window = Window::fromRange(rules.window->at(0), rules.window->at(1));
    const auto shown = std::make_shared<MedsamImage>(std::move(image), bytes);
    return {shown->geometry(), [shown](std::int64_t slice) {
                PngPixels picture{shown->geometry().nx(), shown->geometry().ny(), 1, {}};
                picture.bytes.resize(static_cast<std::size_t>(picture.width * picture.height));
                shown->slicesToBytes({slice}, picture.bytes);
                return picture;
            }};
}

/// TIFF stacks are volumes; other pictures may have colours.
OpenedImage openImage(const fs::path& path, const PictureRules& rules) {
    const bool picture = isPictureName(path) && !fs::is_directory(path);
    if (picture && (isPreviewName(path) || readImageHeader(path).geometry.nz() == 1)) return openPicture(path);
    return openVolume(path, rules);
}

PictureRules mergedRules(const PictureRules& asked, const PictureRules& known) {
    PictureRules rules = known;
    if (!asked.modality.empty()) rules.modality = asked.modality;
    if (asked.window) rules.window = asked.window;
    return rules;
}

fs::path labelFileOf(const PromptedRequest& request, const fs::path& input) {
    if (!request.outputIsFolder) return request.output;
    return request.output / (caseNameOf(input) + (isPreviewName(input) ? ".png" : ".nii.gz"));
}

void predictFile(PromptedModel& model, const PromptedRequest& request, const fs::path& input, const fs::path& output,
                 PromptedOutcome& outcome) {
    const OpenedImage image = openImage(input, mergedRules(request.picture, model.pictureRules()));
    LabelTable table;
    const std::vector<Prompt> prompts = resolvePrompts(request.prompts, image.geometry, input, table);
    if (prompts.empty()) logWarning("{}: no prompt is about this image: its label map is empty", input.string());
    Progress progress(input.filename().string(), static_cast<std::int64_t>(prompts.size()), "prompts");
    PromptedSegmentation result = segmentPrompted(model, image.geometry, image.picture, prompts, request.batchSize,
                                                  request.multimask, [&] { progress.advance(); });
    progress.finish();
    result.labels.setTable(table);
    writeLabelMap(output, result.labels);
    outcome.slices += result.slices;
    outcome.objects.push_back(std::move(result.objects));
}

}  // namespace

PromptedSegmentation segmentPrompted(PromptedModel& model, const Geometry& geometry, const PictureSource& pictures,
                                     const std::vector<Prompt>& prompts, int batchSize, bool multimask,
                                     const std::function<void()>& advance) {
    PromptedSegmentation result;
    Volume<std::uint16_t> labels(geometry, 0);
    std::size_t first = 0;
    while (first < prompts.size()) {
        const std::int64_t slice = prompts[first].slice;
        model.setPicture(pictures(slice));
        ++result.slices;
        SlicePainter painter(labels.slice(slice));
        while (first < prompts.size() && prompts[first].slice == slice) {
            throwIfInterrupted();
            std::vector<Prompt> batch;
            while (first < prompts.size() && prompts[first].slice == slice &&
                   batch.size() < static_cast<std::size_t>(batchSize) &&
                   sameMakeUp(prompts[first], prompts[first - batch.size()]))
                batch.push_back(prompts[first++]);
            const PromptedMasks masks = model.segment(batch, multimask);
            for (std::size_t i = 0; i < batch.size(); ++i) {
                const float* scores =
                    masks.scores.data_ptr<float>() + static_cast<std::int64_t>(i) * geometry.nx() * geometry.ny();
                const std::int64_t pixels = painter.paint(scores, batch[i].label);
                result.objects.push_back({batch[i].label, slice, masks.iou.data_ptr<float>()[i], pixels});
                if (advance) advance();
            }
        }
    }
    result.labels = narrowed(std::move(labels), {});
    return result;
}

PromptedOutcome predictPromptedFiles(PromptedModel& model, const PromptedRequest& request) {
    const auto start = Clock::now();
    PromptedOutcome outcome;
    std::exception_ptr firstError;
    logInfo("{}", model.describe());
    for (const fs::path& input : request.inputs) {
        const fs::path output = labelFileOf(request, input);
        outcome.labelFiles.push_back(output);
        if (request.skipExisting && fs::exists(output)) {
            ++outcome.skipped;
            outcome.objects.emplace_back();
            continue;
        }
        try {
            predictFile(model, request, input, output, outcome);
            ++outcome.images;
        } catch (const DataError& error) {
            if (request.inputs.size() > 1) logWarning("{}", error.what());
            if (!firstError) firstError = std::current_exception();
            outcome.objects.emplace_back();
        }
    }
    if (firstError) std::rethrow_exception(firstError);
    outcome.seconds = secondsSince(start);
    return outcome;
}

}  // namespace medseg
