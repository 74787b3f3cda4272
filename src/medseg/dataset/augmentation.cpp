#include "medseg/dataset/augmentation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace medseg {
namespace {

/// Value at (x, y) between pixels; pixels outside count as 0.
float bilinear(const float* image, std::int64_t height, std::int64_t width, double x, double y) {
    const double fx = std::floor(x), fy = std::floor(y);
    const auto x0 = static_cast<std::int64_t>(fx), y0 = static_cast<std::int64_t>(fy);
    const auto tx = static_cast<float>(x - fx), ty = static_cast<float>(y - fy);
    const auto pixel = [&](std::int64_t column, std::int64_t row) {
        return column >= 0 && column < width && row >= 0 && row < height ? image[row * width + column] : 0.0F;
    };
    const float upper = pixel(x0, y0) + tx * (pixel(x0 + 1, y0) - pixel(x0, y0));
    const float lower = pixel(x0, y0 + 1) + tx * (pixel(x0 + 1, y0 + 1) - pixel(x0, y0 + 1));
    return upper + ty * (lower - upper);
}

void changeShape(SliceSample& sample, const AugmentationSettings& s, Random& random) {
    const double degrees = random.uniform(-s.rotation, s.rotation);
    const double zoom = random.uniform(s.scale[0], s.scale[1]);
    const double dx = random.uniform(-s.shift, s.shift) * static_cast<double>(sample.width);
    const double dy = random.uniform(-s.shift, s.shift) * static_cast<double>(sample.width);
    const bool flipX = s.flipHorizontal && random.uniform() < 0.5, flipY = s.flipVertical && random.uniform() < 0.5;
    transformPlane(sample, planeMap(sample.height, sample.width, degrees, zoom, dx, dy, flipX, flipY));
}

void changeIntensity(SliceSample& sample, const AugmentationSettings& s, Random& random) {
    const double gamma = random.uniform(s.gamma[0], s.gamma[1]);
    const auto contrast = static_cast<float>(1 + random.uniform(-s.contrast, s.contrast));
    const auto brightness = static_cast<float>(random.uniform(-s.brightness, s.brightness));
    const double sigma = random.uniform(0, s.noise);
    double sum = 0;
    for (float& value : sample.image) {
        if (gamma != 1 && value > 0) value = static_cast<float>(std::pow(static_cast<double>(value), gamma));
        sum += value;
    }
    const auto mean = static_cast<float>(sum / static_cast<double>(std::max<std::size_t>(1, sample.image.size())));
    for (float& value : sample.image) {
        value = mean + contrast * (value - mean) + brightness;
        if (sigma > 0) value += static_cast<float>(sigma * random.normal());
        value = std::clamp(value, 0.0F, 1.0F);
    }
}

}  // namespace

PlaneMap planeMap(std::int64_t height, std::int64_t width, double degrees, double zoom, double dx, double dy,
                  bool flipX, bool flipY) {
    const double angle = degrees * std::numbers::pi / 180, c = std::cos(angle) / zoom, s = std::sin(angle) / zoom;
    const double cx = 0.5 * static_cast<double>(width - 1), cy = 0.5 * static_cast<double>(height - 1);
    const double signX = flipX ? -1 : 1, signY = flipY ? -1 : 1;
    PlaneMap map{signX * c, -signX * s, 0, signY * s, signY * c, 0};
    map[2] = cx - map[0] * (cx + dx) - map[1] * (cy + dy);
    map[5] = cy - map[3] * (cx + dx) - map[4] * (cy + dy);
    return map;
}

void transformPlane(SliceSample& sample, const PlaneMap& map) {
    const std::int64_t height = sample.height, width = sample.width, pixels = height * width;
    const std::vector<float> image = std::move(sample.image);
    const std::vector<std::uint16_t> labels = std::move(sample.labels);
    sample.image.resize(image.size());
    sample.labels.assign(labels.size(), 0);
    for (std::int64_t row = 0; row < height; ++row)
        for (std::int64_t column = 0; column < width; ++column) {
            const auto u = static_cast<double>(column), v = static_cast<double>(row);
            const double x = map[0] * u + map[1] * v + map[2], y = map[3] * u + map[4] * v + map[5];
            const std::int64_t target = row * width + column;
            sample.image[static_cast<std::size_t>(target)] = bilinear(image.data(), height, width, x, y);
            const auto nearX = static_cast<std::int64_t>(std::floor(x + 0.5)),
                       nearY = static_cast<std::int64_t>(std::floor(y + 0.5));
            if (nearX < 0 || nearX >= width || nearY < 0 || nearY >= height) continue;
            for (std::int64_t layer = 0; layer < sample.layers; ++layer)
                sample.labels[static_cast<std::size_t>(layer * pixels + target)] =
                    labels[static_cast<std::size_t>(layer * pixels + nearY * width + nearX)];
        }
}

void augment(SliceSample& sample, const AugmentationSettings& settings, Random& random) {
    if (!settings.enabled) return;
    if (random.uniform() < settings.probability) changeShape(sample, settings, random);
    if (random.uniform() < settings.probability) changeIntensity(sample, settings, random);
}

}  // namespace medseg
