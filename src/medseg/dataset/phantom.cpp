#include "medseg/dataset/phantom.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/random.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/class_list.h"
#include "medseg/dataset/phantom_anatomy.h"
#include "medseg/dataset/phantom_painter.h"
#include "medseg/recipe/recipe.h"

namespace medseg {
namespace {

using phantom::Layer;
using phantom::Painter;
using phantom::Patient;

constexpr Vec3 kFieldOfView{400, 320, 384};
constexpr std::uint64_t kPatientStream = 1ULL << 32, kNoiseStream = 1ULL << 33;

Vec3 spacingOf(const PhantomSettings& settings) {
    Vec3 spacing = settings.spacing;
    for (int k = 0; k < 3; ++k) {
        if (settings.size[k] < 8 || settings.size[k] > 1024)
            throw UsageError(
                fmt::format("phantom size {}: give 8 to 1024 voxels along each axis", formatSize(settings.size)));
        if (spacing[k] == 0) spacing[k] = kFieldOfView[k] / static_cast<double>(settings.size[k]);
        if (!(spacing[k] >= 0.2 && spacing[k] <= 50))
            throw UsageError(fmt::format("phantom spacing {} mm: give 0.2 to 50 mm", spacing[k]));
    }
    return spacing;
}

/// Noise of one slice: normal values smoothed by a 3x3 binomial kernel, as reconstruction kernels correlate it.
class SliceNoise {
  public:
    SliceNoise(std::int64_t nx, std::int64_t ny, Random random) : width_(nx + 2), values_((nx + 2) * (ny + 2)) {
        for (float& value : values_) value = normal(random.next());
    }
    /// Unit standard deviation.
    float at(std::int64_t x, std::int64_t y) const {
        const float* p = values_.data() + (y + 1) * width_ + x + 1;
        const float corners = p[-width_ - 1] + p[-width_ + 1] + p[width_ - 1] + p[width_ + 1];
        const float sides = p[-1] + p[1] + p[-width_] + p[width_];
        return (corners + 2 * sides + 4 * p[0]) * (1.0F / 6);  // the kernel's root sum of squares is 6
    }

  private:
    /// Sum of four uniform values, standardised: near enough to normal, and cheap.
    static float normal(std::uint64_t bits) {
        const auto part = [bits](int k) { return static_cast<float>((bits >> (16 * k)) & 0xffff); };
        return ((part(0) + part(1) + part(2) + part(3)) * (1.0F / 65535) - 2) * 1.7320508F;
    }

    std::int64_t width_;
    std::vector<float> values_;
};

Geometry phantomGeometry(const Index3& size, const Vec3& spacing) {
    Vec3 origin{};
    for (int k = 0; k < 3; ++k) origin[k] = -0.5 * spacing[k] * static_cast<double>(size[k] - 1);
    return Geometry::axisAligned(size, spacing, origin);
}

/// Where the patient's own, unscaled millimetres lie under the voxels.
Geometry bodyGeometry(const PhantomSettings& settings) {
    Vec3 spacing = spacingOf(settings);
    for (int k = 0; k < 3; ++k) {
        const double scale = settings.bodyScale[k];
        if (!(scale >= 0.5 && scale <= 2)) throw UsageError(fmt::format("phantom body scale {}: give 0.5 to 2", scale));
        spacing[k] /= scale;
    }
    return phantomGeometry(settings.size, spacing);
}

/// Internal label id -> id in the output.
std::array<std::uint8_t, 256> outputIds(const std::vector<std::string>& internal,
                                        const std::vector<std::string>& wanted) {
    std::array<std::uint8_t, 256> ids{};
    for (std::size_t i = 1; i < internal.size(); ++i) {
        const auto found = std::find(wanted.begin(), wanted.end(), internal[i]);
        if (found != wanted.end()) ids[i] = static_cast<std::uint8_t>(found - wanted.begin() + 1);
    }
    return ids;
}

}  // namespace

void checkPhantomSettings(const PhantomSettings& settings) {
    bodyGeometry(settings);
    phantomStructures(settings);
    if (!(settings.noise >= 0 && settings.noise <= 1000))
        throw UsageError(fmt::format("phantom noise {} HU: give 0 to 1000", settings.noise));
}

std::vector<std::string> phantomStructures(const PhantomSettings& settings) {
    std::set<std::string> drawn;
    const Patient patient{Random(settings.seed)};
    for (const Layer& layer : patient.layers())
        if (!layer.label.empty()) drawn.insert(layer.label);
    std::vector<std::string> available;
    for (const std::string& name : totalSegmentatorClasses())
        if (drawn.contains(name)) available.push_back(name);
    if (settings.structures.empty()) return available;
    for (const std::string& name : settings.structures)
        if (!drawn.contains(name)) {
            const std::string near = nearestWord(name, available);
            throw UsageError(fmt::format("the phantom has no structure \"{}\"{}", name,
                                         near.empty() ? std::string(": see `medseg phantom --help`")
                                                      : fmt::format(": did you mean \"{}\"?", near)));
        }
    std::erase_if(available, [&](const std::string& name) {
        return std::find(settings.structures.begin(), settings.structures.end(), name) == settings.structures.end();
    });
    return available;
}

PhantomCase makePhantomCase(const PhantomSettings& settings, int index) {
    const Geometry geometry = phantomGeometry(settings.size, spacingOf(settings)), body = bodyGeometry(settings);
    const std::vector<std::string> structures = phantomStructures(settings);
    const auto number = static_cast<std::uint64_t>(index);
    Random random(settings.seed, kPatientStream + number);
    const Patient patient{random};
    Random warpRandom(settings.seed, 2 * kPatientStream + number);
    const Painter painter(patient, body, warpRandom);
    const auto ids = outputIds(painter.names(), structures);

    Volume<std::int16_t> image(geometry);
    Volume<std::uint8_t> labels(geometry);
    const auto sigma = static_cast<float>(settings.noise);
    parallelForEach(0, geometry.nz(), [&](std::int64_t z) {
        const std::int64_t nx = geometry.nx(), ny = geometry.ny();
        std::vector<float> hu(static_cast<std::size_t>(nx * ny));
        std::uint8_t* label = labels.data() + labels.index(0, 0, z);
        painter.paintSlice(z, hu.data(), label);
        const SliceNoise noise(nx, ny,
                               Random(settings.seed, (number + 1) * kNoiseStream + static_cast<std::uint64_t>(z)));
        std::int16_t* out = image.data() + image.index(0, 0, z);
        for (std::int64_t y = 0; y < ny; ++y)
            for (std::int64_t x = 0; x < nx; ++x) {
                const std::int64_t i = y * nx + x;
                // Air absorbs nothing, so its noise is smaller.
                const float scale = hu[i] < -900 ? 0.6F : 1.0F;
                const float value = hu[i] + sigma * scale * noise.at(x, y);
                out[i] = static_cast<std::int16_t>(std::clamp(std::lround(value), -1024L, 3071L));
                label[i] = ids[label[i]];
            }
    });
    return {fmt::format("s{:04d}", index), std::move(image),
            LabelMap(std::move(labels), LabelTable::fromNames(structures))};
}

}  // namespace medseg
