#include "medseg/dataset/patch_augmentation.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "medseg/dataset/augmentation.h"
#include "medseg/imaging/filter.h"
#include "medseg/imaging/separable.h"

namespace medseg {
namespace {

PatchPose drawPose(const Index3& size, const AugmentationSettings& s, Random& random) {
    PatchPose pose;
    for (double& degrees : pose.degrees) degrees = random.uniform(-s.rotation, s.rotation);
    pose.zoom = random.uniform(s.scale[0], s.scale[1]);
    for (double& shift : pose.shift) shift = random.uniform(-s.shift, s.shift) * static_cast<double>(size[0]);
    pose.flip = {s.flipHorizontal && random.uniform() < 0.5, s.flipVertical && random.uniform() < 0.5,
                 s.flipDepth && random.uniform() < 0.5};
    return pose;
}

void readShape(const VolumeCache& cache, const PatchPlace& place, const Index3& size, const AugmentationSettings& s,
               Random& random, PatchSample& sample) {
    std::optional<PatchPose> pose;
    std::optional<VolumeDisplacement> displacement;
    if (random.uniform() < s.probability) pose = drawPose(size, s, random);
    if (effectChosen(s.elastic > 0, s, random)) {
        const auto width = static_cast<double>(size[0]);
        displacement.emplace(size, s.elasticSpacing * width, s.elastic * width, random);
    }
    if (!pose && !displacement) {
        readPatch(cache, place, size, sample);
        return;
    }
    const Vec3 spacing = cache.caseAt(place.volume).grid.spacing();
    readPatch(cache, place.volume, size, patchMap(place, size, spacing, pose.value_or(PatchPose{})),
              displacement ? &*displacement : nullptr, sample);
}

/// Resamples along all axes; map(from, to) gives the axis from its lengths.
template <typename Map>
std::vector<float> resized(const std::vector<float>& image, const Index3& from, const Index3& to, const Map& map) {
    std::vector<float> out(static_cast<std::size_t>(to[0] * to[1] * to[2]));
    resampleSeparable<float, float>(image.data(), from, {map(from[0], to[0]), map(from[1], to[1]), map(from[2], to[2])},
                                    0, out.data());
    return out;
}

}  // namespace

void blurPatch(std::vector<float>& image, const Index3& size, double sigma) {
    Volume<float> volume(Geometry::axisAligned(size, {1, 1, 1}));
    std::copy(image.begin(), image.end(), volume.data());
    GaussianOptions options;
    options.boundary = Boundary::Nearest;
    options.truncate = 3;
    const Volume<float> blurred = gaussianFilter(volume, {sigma, sigma, sigma}, options);
    std::copy_n(blurred.data(), image.size(), image.begin());
}

void lowerPatchResolution(std::vector<float>& image, const Index3& size, double factor) {
    Index3 low{};
    for (std::size_t axis = 0; axis < 3; ++axis)
        low[axis] = std::max<std::int64_t>(1, std::llround(factor * static_cast<double>(size[axis])));
    if (low == size) return;
    const auto nearest = [](std::int64_t from, std::int64_t to) {
        std::vector<std::int64_t> index;
        for (const double x : halfPixelCoordinates(from, to))
            index.push_back(std::clamp<std::int64_t>(std::llround(x), 0, from - 1));
        return gatherAxis(from, index);
    };
    const auto linear = [](std::int64_t from, std::int64_t to) {
        return linearAxis(from, halfPixelCoordinates(from, to));
    };
    image = resized(resized(image, size, low, nearest), low, size, linear);
}

void readTrainingPatch(const VolumeCache& cache, const PatchPlace& place, const Index3& size,
                       const AugmentationSettings& settings, Random& random, PatchSample& sample) {
    if (!settings.enabled) {
        readPatch(cache, place, size, sample);
        return;
    }
    readShape(cache, place, size, settings, random, sample);
    if (effectChosen(settings.lowResolution < 1, settings, random))
        lowerPatchResolution(sample.image, size, random.uniform(settings.lowResolution, 1));
    if (effectChosen(settings.blur > 0, settings, random))
        blurPatch(sample.image, size, random.uniform(0.25 * settings.blur, settings.blur));
    if (random.uniform() < settings.probability) changeIntensity(sample.image, 1, settings, random);
}

}  // namespace medseg
