#include "medseg/dataset/volume_format.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/imaging/resample.h"
#include "medseg/imaging/window.h"
#include "medseg/volume/orientation.h"

namespace medseg {

VolumeFormat volumeFormatFrom(const PrepareSettings& settings, const LabelTable& labels) {
    if (!(settings.window[0] < settings.window[1]))
        throw UsageError(fmt::format("prepare.window [{}, {}]: the first value must be below the second",
                                     settings.window[0], settings.window[1]));
    return {settings.spacing, settings.window, labels};
}

Geometry networkGrid(const Geometry& source, const Vec3& spacing) {
    const Geometry canonical = turned(source, turnTowards(source, "RAS"));
    const Vec3 old = canonical.spacing();
    Index3 size{};
    for (std::size_t axis = 0; axis < 3; ++axis)
        size[axis] = std::max<std::int64_t>(
            1, std::llround(static_cast<double>(canonical.size()[axis]) * old[axis] / spacing[axis]));
    return withSize(canonical, size);
}

Volume<float> networkVolume(Volume<float> image, const VolumeFormat& format) {
    const Geometry source = image.geometry();
    const std::span<float> voxels = image.voxels();
    scaleToUnit<float>(voxels, format.window[0], format.window[1], voxels);
    const AxisTurn turn = turnTowards(source, "RAS");
    if (!turn.isIdentity()) image = std::get<Volume<float>>(turned(AnyVolume(std::move(image)), turn));
    const Geometry grid = networkGrid(source, format.spacing);
    if (grid.size() == image.size()) return image;
    return resampleTo(image, grid, Interpolation::Linear);
}

LabelMap networkLabels(const LabelMap& labels, const VolumeFormat& format) {
    const Geometry grid = networkGrid(labels.geometry(), format.spacing);
    return resampleLabels(labels, grid, LabelInterpolation::Linear);
}

}  // namespace medseg
