// Small hand-made cases on disk, for the tests of the dataset module.
#pragma once

#include <functional>
#include <string>

#include "io/temporary_folder.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"
#include "medseg/recipe/settings.h"

namespace medseg {

inline Geometry smallGeometry(Index3 size = {10, 8, 6}) {
    return Geometry::axisAligned(size, {2, 2, 3}, {-10, -8, 5});
}

template <typename T>
Volume<T> filled(const Geometry& geometry,
                 const std::function<double(std::int64_t, std::int64_t, std::int64_t)>& value) {
    Volume<T> volume(geometry);
    for (std::int64_t z = 0; z < volume.nz(); ++z)
        for (std::int64_t y = 0; y < volume.ny(); ++y)
            for (std::int64_t x = 0; x < volume.nx(); ++x) volume(x, y, z) = static_cast<T>(value(x, y, z));
    return volume;
}

/// ROOT/id/ct.nii.gz with HU = 10 x + 20 y - 30 z.
inline void writeCt(const fs::path& root, const std::string& id, const Geometry& geometry = smallGeometry()) {
    createDirectories(root / id / "segmentations");
    writeImage(root / id / "ct.nii.gz", filled<std::int16_t>(geometry, [](auto x, auto y, auto z) {
                   return static_cast<double>(10 * x + 20 * y - 30 * z);
               }));
}

inline void writeMask(const fs::path& root, const std::string& id, const std::string& name,
                      const std::function<bool(std::int64_t, std::int64_t, std::int64_t)>& inside,
                      const Geometry& geometry = smallGeometry()) {
    createDirectories(root / id / "segmentations");
    writeImage(root / id / "segmentations" / (name + ".nii.gz"),
               filled<std::uint8_t>(geometry, [&](auto x, auto y, auto z) { return inside(x, y, z) ? 1.0 : 0.0; }));
}

inline DataSettings dataIn(const fs::path& root) {
    DataSettings settings;
    settings.root = root.string();
    return settings;
}

/// What `action` throws, as text; empty if nothing.
template <typename Exception>
std::string messageOf(const std::function<void()>& action) {
    try {
        action();
    } catch (const Exception& error) {
        return error.what();
    }
    return {};
}

}  // namespace medseg
