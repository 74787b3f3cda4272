#include "medseg/dataset/augmentation.h"

#include <algorithm>
#include <optional>
#include <span>

#include "medseg/dataset/intensity_changes.h"

namespace medseg {
namespace {

PlaneMap drawMap(const SliceSample& sample, const AugmentationSettings& s, Random& random) {
    const double degrees = random.uniform(-s.rotation, s.rotation);
    const double zoom = random.uniform(s.scale[0], s.scale[1]);
    const double dx = random.uniform(-s.shift, s.shift) * static_cast<double>(sample.width);
    const double dy = random.uniform(-s.shift, s.shift) * static_cast<double>(sample.width);
    const bool flipX = s.flipHorizontal && random.uniform() < 0.5, flipY = s.flipVertical && random.uniform() < 0.5;
    return planeMap(sample.height, sample.width, degrees, zoom, dx, dy, flipX, flipY);
}

void changeShape(SliceSample& sample, const AugmentationSettings& s, Random& random) {
    std::optional<PlaneMap> map;
    std::optional<SmoothDisplacement> displacement;
    if (random.uniform() < s.probability) map = drawMap(sample, s, random);
    if (effectChosen(s.elastic > 0, s, random)) {
        const auto width = static_cast<double>(sample.width);
        displacement.emplace(sample.height, sample.width, s.elasticSpacing * width, s.elastic * width, random);
    }
    if (map || displacement)
        transformPlane(sample, map.value_or(PlaneMap{1, 0, 0, 0, 1, 0}), displacement ? &*displacement : nullptr);
}

/// Calls function(plane) for each channel.
template <typename Function>
void forEachPlane(SliceSample& sample, Function&& function) {
    for (int channel = 0; channel < sample.channels; ++channel)
        function(sample.image.data() + channel * sample.height * sample.width);
}

}  // namespace

bool effectChosen(bool on, const AugmentationSettings& s, Random& random) {
    return on && random.uniform() < s.effectProbability;
}

void changeIntensity(std::span<float> image, int channels, const AugmentationSettings& s, Random& random) {
    const bool factorOn = s.intensityScale[0] != 1 || s.intensityScale[1] != 1;
    const double gamma = random.uniform(s.gamma[0], s.gamma[1]);
    LinearChange change;
    change.contrast = 1 + random.uniform(-s.contrast, s.contrast);
    change.shift = random.uniform(-s.brightness, s.brightness);
    change.noise = random.uniform(0, s.noise);
    const auto factor = static_cast<float>(factorOn ? random.uniform(s.intensityScale[0], s.intensityScale[1]) : 1.0);
    const std::size_t pixels = image.size() / static_cast<std::size_t>(std::max(1, channels));
    for (int channel = 0; channel < channels; ++channel) {
        const std::span<float> plane = image.subspan(static_cast<std::size_t>(channel) * pixels, pixels);
        if (factorOn)
            for (float& value : plane) value *= factor;
        applyGamma(plane, gamma);
        applyLinear(plane, change, random);
    }
}

void augment(SliceSample& sample, const AugmentationSettings& settings, Random& random) {
    if (!settings.enabled) return;
    changeShape(sample, settings, random);
    if (effectChosen(settings.lowResolution < 1, settings, random)) {
        const double factor = random.uniform(settings.lowResolution, 1);
        forEachPlane(sample, [&](float* plane) { lowerResolution(plane, sample.height, sample.width, factor); });
    }
    if (effectChosen(settings.blur > 0, settings, random)) {
        const double sigma = random.uniform(0.25 * settings.blur, settings.blur);
        forEachPlane(sample, [&](float* plane) { blurPlane(plane, sample.height, sample.width, sigma); });
    }
    if (random.uniform() < settings.probability) changeIntensity(sample.image, sample.channels, settings, random);
}

}  // namespace medseg
