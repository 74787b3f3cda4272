#include "medseg/imaging/label_cleanup.h"

#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"
#include "medseg/imaging/components.h"
#include "medseg/imaging/label_smoothing.h"

namespace medseg {
namespace {

/// What encloses a background region: nothing yet, one label, or several labels or the border of the volume.
class Enclosure {
  public:
    void touch(int label) {
        if (label_ == kNone)
            label_ = label;
        else if (label_ != label)
            label_ = kOpen;
    }
    void open() { label_ = kOpen; }
    /// The only neighbour, or 0.
    int label() const { return label_ > 0 ? label_ : 0; }

  private:
    static constexpr int kNone = 0, kOpen = -1;
    int label_ = kNone;
};

template <typename T>
Volume<std::uint8_t> backgroundOf(const Volume<T>& labels) {
    Volume<std::uint8_t> background(labels.geometry());
    parallelFor(0, labels.voxelCount(), 1 << 18, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) background.data()[i] = labels.data()[i] == 0 ? 1 : 0;
    });
    return background;
}

template <typename T>
std::vector<Enclosure> enclosuresOf(const Volume<T>& labels, const ComponentLabels& regions) {
    std::vector<Enclosure> enclosures(static_cast<std::size_t>(regions.count) + 1);
    const auto [nx, ny, nz] = labels.size();
    // A region and a label that meet, seen from the first of two neighbours.
    const auto meet = [&](std::int64_t a, std::int64_t b) {
        const std::uint32_t regionA = regions.labels.data()[a], regionB = regions.labels.data()[b];
        if (regionA != 0 && regionB == 0) enclosures[regionA].touch(static_cast<int>(labels.data()[b]));
        if (regionB != 0 && regionA == 0) enclosures[regionB].touch(static_cast<int>(labels.data()[a]));
    };
    std::int64_t i = 0;
    for (std::int64_t z = 0; z < nz; ++z)
        for (std::int64_t y = 0; y < ny; ++y)
            for (std::int64_t x = 0; x < nx; ++x, ++i) {
                const bool border = x == 0 || y == 0 || z == 0 || x == nx - 1 || y == ny - 1 || z == nz - 1;
                if (border) enclosures[regions.labels.data()[i]].open();
                if (x + 1 < nx) meet(i, i + 1);
                if (y + 1 < ny) meet(i, i + nx);
                if (z + 1 < nz) meet(i, i + nx * ny);
            }
    return enclosures;
}

}  // namespace

template <typename T>
std::int64_t fillLabelHoles(Volume<T>& labels) {
    const ComponentLabels regions = labelComponents(backgroundOf(labels), Connectivity::Six);
    const std::vector<Enclosure> enclosures = enclosuresOf(labels, regions);
    std::int64_t filled = 0;
    for (std::int64_t i = 0; i < labels.voxelCount(); ++i) {
        const std::uint32_t region = regions.labels.data()[i];
        if (region == 0 || enclosures[region].label() == 0) continue;
        labels.data()[i] = static_cast<T>(enclosures[region].label());
        ++filled;
    }
    return filled;
}

template std::int64_t fillLabelHoles<std::uint8_t>(Volume<std::uint8_t>&);
template std::int64_t fillLabelHoles<std::uint16_t>(Volume<std::uint16_t>&);

void cleanLabels(LabelMap& labels, const LabelCleanup& cleanup) {
    if (!(cleanup.smoothMm >= 0) || cleanup.smallVoxels < 0)
        throw UsageError(fmt::format("clean-up of labels: {} mm and {} voxels must not be negative", cleanup.smoothMm,
                                     cleanup.smallVoxels));
    labels.visit([&](auto& voxels) {
        if (cleanup.smoothMm > 0) voxels = smoothLabels(voxels, {.sigmaMm = {0, 0, cleanup.smoothMm}});
        if (cleanup.smallVoxels > 0) removeSmallComponents(voxels, cleanup.smallVoxels, Connectivity::TwentySix);
        if (cleanup.largestComponent) keepLargestComponents(voxels, Connectivity::TwentySix);
        if (cleanup.fillHoles) fillLabelHoles(voxels);
    });
}

}  // namespace medseg
