#include "medseg/metrics/surface.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "medseg/metrics/distance_groups.h"
#include "medseg/metrics/nearest_surface.h"
#include "medseg/metrics/surface_bits.h"

namespace medseg {
namespace {

/// One surface: which grid points it has, and what each weighs.
class Surface {
  public:
    Surface(BitGrid mask, const Vec3& spacing, bool isFlat, SurfaceDefinition definition)
        : mask_(std::move(mask)), isFlat_(isFlat), hasCorners_(definition == SurfaceDefinition::DeepMind) {
        points_ = hasCorners_ ? surfaceCorners(mask_, isFlat) : edgeVoxels(mask_, isFlat);
        weights_ = hasCorners_ ? surfaceElementWeights(spacing, isFlat) : std::vector<double>{1.0};
        classOfCode_.resize(weights_.size());
        // Codes of the same weight are one class, so that groups of equal distance and weight stay few.
        for (std::size_t code = 0; code < weights_.size(); ++code) {
            const auto same = std::find(classWeights_.begin(), classWeights_.end(), weights_[code]);
            classOfCode_[code] = static_cast<int>(same - classWeights_.begin());
            if (same == classWeights_.end()) classWeights_.push_back(weights_[code]);
        }
    }

    const BitGrid& points() const { return points_; }
    bool empty() const { return !points_.anySet(); }
    const std::vector<double>& classWeights() const { return classWeights_; }
    int classAt(std::int64_t x, std::int64_t y, std::int64_t z) const {
        return hasCorners_ ? classOfCode_[cornerCode(mask_, x, y, z, isFlat_)] : 0;
    }

    /// Calls function(x, y, z) for every point of the surface.
    template <typename Function>
    void forEachPoint(Function&& function) const {
        for (std::int64_t z = 0; z < points_.size()[2]; ++z)
            for (std::int64_t y = 0; y < points_.size()[1]; ++y) {
                const std::uint64_t* row = points_.row(y, z);
                for (std::int64_t word = 0; word < points_.wordsPerRow(); ++word)
                    for (std::uint64_t bits = row[word]; bits != 0; bits &= bits - 1)
                        function(word * 64 + std::countr_zero(bits), y, z);
            }
    }

  private:
    BitGrid mask_;
    bool isFlat_;
    bool hasCorners_;
    BitGrid points_;
    std::vector<double> weights_;
    std::vector<double> classWeights_;
    std::vector<int> classOfCode_;
};

DirectedDistances distancesTo(const Surface& from, const Surface& to, const Vec3& spacing) {
    DistanceCounter counter(from.classWeights());
    if (to.empty()) {
        from.forEachPoint([&](std::int64_t x, std::int64_t y, std::int64_t z) {
            counter.add(std::numeric_limits<double>::infinity(), from.classAt(x, y, z));
        });
        return DirectedDistances(counter.groups());
    }
    std::vector<GridPoint> apart;  // points that are not on the other surface themselves
    std::vector<std::uint8_t> classes;
    from.forEachPoint([&](std::int64_t x, std::int64_t y, std::int64_t z) {
        const int weightClass = from.classAt(x, y, z);
        if (to.points().test(x, y, z)) {
            counter.add(0, weightClass);
        } else {
            apart.push_back({static_cast<std::int32_t>(x), static_cast<std::int32_t>(y), static_cast<std::int32_t>(z)});
            classes.push_back(static_cast<std::uint8_t>(weightClass));
        }
    });
    const std::vector<double> squares = NearestSurface(to.points(), spacing).squaredDistances(apart);
    for (std::size_t i = 0; i < apart.size(); ++i) counter.add(squares[i], classes[i]);
    return DirectedDistances(counter.groups());
}

}  // namespace

std::string nameOf(SurfaceDefinition definition) {
    switch (definition) {
        case SurfaceDefinition::Monai:
            return "monai";
        case SurfaceDefinition::Medpy:
            return "medpy";
        default:
            return "deepmind";
    }
}

SurfaceDistances surfaceDistances(const StructureView& reference, const StructureView& prediction, bool isFlat,
                                  SurfaceDefinition definition) {
    SurfaceDistances result{definition, {}, {}};
    const IndexBox box = reference.box.unitedWith(prediction.box);
    if (box.empty()) return result;
    const Vec3 spacing = (reference.map != nullptr ? reference : prediction).map->geometry().spacing();
    const Surface a(maskBits(reference, box), spacing, isFlat, definition);
    const Surface b(maskBits(prediction, box), spacing, isFlat, definition);
    result.fromReference = distancesTo(a, b, spacing);
    result.fromPrediction = distancesTo(b, a, spacing);
    return result;
}

SurfaceDistances surfaceDistances(const LabelMap& reference, const LabelMap& prediction, int id, bool isFlat,
                                  SurfaceDefinition definition) {
    const Confusion confusion = confusionOf(reference, prediction, true);
    return surfaceDistances({&reference, id, confusion.referenceBox(id)},
                            {&prediction, id, confusion.predictionBox(id)}, isFlat, definition);
}

}  // namespace medseg
