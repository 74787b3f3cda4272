// The label map that the imaging benchmarks run on: 20 ellipsoids of different size and 3000 specks in 512 x 512 x 200.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "medseg/base/random.h"
#include "medseg/base/threads.h"
#include "medseg/volume/volume.h"

namespace medseg::bench {

inline Geometry benchGeometry() {
    return Geometry::axisAligned({512, 512, 200}, {0.8, 0.8, 2.5});
}

/// The same voxels on every machine and in every run.
inline Volume<std::uint8_t> labelVolume(int labels = 20, int specks = 3000) {
    Volume<std::uint8_t> volume(benchGeometry(), 0);
    Random random(20);
    for (int label = 1; label <= labels; ++label) {
        const Vec3 center{random.uniform(100, 412), random.uniform(120, 392), random.uniform(25, 175)};
        const Vec3 radius{random.uniform(15, 80), random.uniform(15, 80), random.uniform(8, 40)};
        const auto z0 = static_cast<std::int64_t>(std::fmax(0, center[2] - radius[2]));
        const auto z1 = static_cast<std::int64_t>(std::fmin(199, center[2] + radius[2]));
        parallelForEach(z0, z1 + 1, [&](std::int64_t z) {
            const auto reach = [&](int axis) { return static_cast<std::int64_t>(1.1 * radius[axis]); };
            const auto cx = static_cast<std::int64_t>(center[0]), cy = static_cast<std::int64_t>(center[1]);
            for (std::int64_t y = std::max<std::int64_t>(0, cy - reach(1));
                 y < std::min<std::int64_t>(512, cy + reach(1)); ++y) {
                const double dy = (static_cast<double>(y) - center[1]) / radius[1];
                const double dz = (static_cast<double>(z) - center[2]) / radius[2];
                for (std::int64_t x = std::max<std::int64_t>(0, cx - reach(0));
                     x < std::min<std::int64_t>(512, cx + reach(0)); ++x) {
                    const double dx = (static_cast<double>(x) - center[0]) / radius[0];
                    // A wavy surface: organs are not ellipsoids.
                    const double wave = 0.08 * std::sin(9 * dx + label) * std::sin(7 * dy) * std::cos(5 * dz);
                    if (dx * dx + dy * dy + dz * dz + wave < 1) volume(x, y, z) = static_cast<std::uint8_t>(label);
                }
            }
        });
    }
    for (int i = 0; i < specks; ++i) {
        const auto x = static_cast<std::int64_t>(random.index(508)), y = static_cast<std::int64_t>(random.index(508));
        const auto z = static_cast<std::int64_t>(random.index(198));
        const auto label = static_cast<std::uint8_t>(1 + random.index(static_cast<std::uint64_t>(labels)));
        const auto extent = static_cast<std::int64_t>(1 + random.index(3));
        for (std::int64_t k = 0; k < extent; ++k)
            for (std::int64_t j = 0; j < extent; ++j) volume(x + j, y + k, z + k % 2) = label;
    }
    return volume;
}

/// A CT-like image of the same size: smooth structure and noise, HU.
inline Volume<std::int16_t> imageVolume() {
    Volume<std::int16_t> volume(benchGeometry());
    parallelForEach(0, volume.nz(), [&](std::int64_t z) {
        Random random(21, static_cast<std::uint64_t>(z));
        for (std::int64_t y = 0; y < volume.ny(); ++y)
            for (std::int64_t x = 0; x < volume.nx(); ++x) {
                const double body =
                    std::hypot(static_cast<double>(x) - 256, static_cast<double>(y) - 256) < 210 ? 40 : -1000;
                const double wave =
                    60 * std::sin(0.05 * static_cast<double>(x)) * std::cos(0.07 * static_cast<double>(y + z));
                volume(x, y, z) = static_cast<std::int16_t>(body + wave + random.uniform(-20, 20));
            }
    });
    return volume;
}

}  // namespace medseg::bench
