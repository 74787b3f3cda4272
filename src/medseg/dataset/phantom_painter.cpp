#include "medseg/dataset/phantom_painter.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace medseg::phantom {

/// Smooth displacement of the patient, a few long sine waves; separable along x, so a row costs no sines.
class Warp {
  public:
    Warp(Random& random, double amplitude, const std::vector<float>& x) {
        for (Wave& wave : waves_) {
            wave.amplitude = amplitude / 2;
            for (double& f : wave.frequency)
                f = 2 * std::numbers::pi / random.uniform(170, 330) * (random.uniform() < 0.5 ? -1 : 1);
            wave.phase = random.uniform(0, 2 * std::numbers::pi);
            for (const float value : x) {
                wave.sine.push_back(static_cast<float>(std::sin(wave.frequency[0] * value)));
                wave.cosine.push_back(static_cast<float>(std::cos(wave.frequency[0] * value)));
            }
        }
    }

    /// Adds the displacement of the row at (y, z) to its coordinates.
    void displace(double y, double z, std::array<std::vector<float>, 3>& coordinates) const {
        for (std::size_t w = 0; w < waves_.size(); ++w) {
            const Wave& wave = waves_[w];
            const double rest = wave.frequency[1] * y + wave.frequency[2] * z + wave.phase;
            const auto c = static_cast<float>(wave.amplitude * std::cos(rest));
            const auto s = static_cast<float>(wave.amplitude * std::sin(rest));
            std::vector<float>& axis = coordinates[w % 3];
            for (std::size_t i = 0; i < axis.size(); ++i) axis[i] += wave.sine[i] * c + wave.cosine[i] * s;
        }
    }

  private:
    struct Wave {
        double amplitude = 0, phase = 0;
        std::array<double, 3> frequency{};
        std::vector<float> sine, cosine;
    };
    std::array<Wave, 6> waves_;  ///< two for each axis
};

namespace {

constexpr double kAirHu = -1000;
/// Distances are only needed where they can matter: this far from a layer's bounds.
constexpr double kCullMargin = 4;

/// Image position (mm, world) to patient coordinates: undo shift, tilt and scale.
std::array<std::array<double, 4>, 3> worldToPatient(const phantom::Proportions& p) {
    constexpr double kRadians = std::numbers::pi / 180;
    const double cx = std::cos(p.tilt[0] * kRadians), sx = std::sin(p.tilt[0] * kRadians);
    const double cy = std::cos(p.tilt[1] * kRadians), sy = std::sin(p.tilt[1] * kRadians);
    const double cz = std::cos(p.tilt[2] * kRadians), sz = std::sin(p.tilt[2] * kRadians);
    const double rotation[3][3] = {{cz * cy, sz * cy, -sy},
                                   {cz * sy * sx - sz * cx, sz * sy * sx + cz * cx, cy * sx},
                                   {cz * sy * cx + sz * sx, sz * sy * cx - cz * sx, cy * cx}};
    std::array<std::array<double, 4>, 3> map{};
    for (int r = 0; r < 3; ++r)
        for (int c = 0; c < 3; ++c) {
            map[r][c] = rotation[r][c] / p.scale[r];
            map[r][3] -= map[r][c] * p.shift[c];
        }
    return map;
}

/// Points first..last of a row.
Row rowFrom(const std::array<std::vector<float>, 3>& coordinates, std::int64_t first, std::int64_t last) {
    const auto range = [&](int axis) {
        const auto begin = coordinates[axis].begin();
        return std::minmax_element(begin + first, begin + last);
    };
    const auto y = range(1), z = range(2);
    const float* x = coordinates[0].data();
    return {.count = last - first,
            .x = x + first,
            .y = coordinates[1].data() + first,
            .z = coordinates[2].data() + first,
            .minX = x[first],
            .maxX = x[last - 1],
            .minY = *y.first,
            .maxY = *y.second,
            .minZ = *z.first,
            .maxZ = *z.second};
}

bool anyOver(const std::array<bool, 256>& over, const std::uint8_t* labels, std::int64_t count) {
    return std::any_of(labels, labels + count, [&](std::uint8_t id) { return over[id]; });
}

}  // namespace

struct Painter::Buffers {
    std::array<std::vector<float>, 3> coordinates;
    std::vector<float> distance;
    std::vector<const Tissue*> tissue;  ///< what fills most of each voxel
};

Painter::Painter(const Patient& patient, const Geometry& geometry, Random random)
    : patient_(patient), geometry_(geometry), toPatient_(worldToPatient(patient.proportions())) {
    const Vec3 spacing = geometry.spacing();
    edge_ = static_cast<float>((spacing[0] + spacing[1] + spacing[2]) / 3);
    for (std::int64_t i = 0; i < geometry.nx(); ++i)
        worldX_.push_back(static_cast<float>(geometry.voxelToWorld({static_cast<double>(i), 0, 0})[0]));
    warp_ = std::make_unique<Warp>(random, patient.proportions().warp, worldX_);
    names_.push_back("");
    for (const Layer& layer : patient.layers()) prepare(layer);
}

Painter::~Painter() = default;

void Painter::prepare(const Layer& layer) {
    PreparedLayer prepared;
    prepared.layer = &layer;
    prepared.reach = layer.solid->bounds().grownBy(kCullMargin + edge_);
    if (!layer.label.empty()) prepared.id = idOf(layer.label);
    prepared.everywhere = layer.onlyOver.empty();
    for (const std::string& name : layer.onlyOver) prepared.over[idOf(name)] = true;
    layers_.push_back(prepared);
}

std::uint8_t Painter::idOf(const std::string& name) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found != names_.end()) return static_cast<std::uint8_t>(found - names_.begin());
    names_.push_back(name);
    return static_cast<std::uint8_t>(names_.size() - 1);
}

Row Painter::locateRow(std::int64_t y, std::int64_t z, Buffers& buffers) const {
    const Vec3 start = geometry_.voxelToWorld({0, static_cast<double>(y), static_cast<double>(z)});
    for (int k = 0; k < 3; ++k) {
        const auto offset =
            static_cast<float>(toPatient_[k][1] * start[1] + toPatient_[k][2] * start[2] + toPatient_[k][3]);
        const auto step = static_cast<float>(toPatient_[k][0]);
        for (std::size_t i = 0; i < worldX_.size(); ++i) buffers.coordinates[k][i] = offset + step * worldX_[i];
    }
    warp_->displace(start[1], start[2], buffers.coordinates);
    return rowFrom(buffers.coordinates, 0, static_cast<std::int64_t>(worldX_.size()));
}

void Painter::paintSlice(std::int64_t z, float* hu, std::uint8_t* labels) const {
    const std::int64_t nx = geometry_.nx();
    Buffers buffers;
    for (auto& axis : buffers.coordinates) axis.resize(static_cast<std::size_t>(nx));
    buffers.distance.resize(static_cast<std::size_t>(nx));
    buffers.tissue.resize(static_cast<std::size_t>(nx));
    for (std::int64_t y = 0; y < geometry_.ny(); ++y) paintRow(y, z, hu + y * nx, labels + y * nx, buffers);
}

void Painter::paintRow(std::int64_t y, std::int64_t z, float* hu, std::uint8_t* labels, Buffers& buffers) const {
    const Row whole = locateRow(y, z, buffers);
    std::fill_n(hu, whole.count, static_cast<float>(kAirHu));
    std::fill_n(labels, whole.count, std::uint8_t{0});
    std::fill_n(buffers.tissue.data(), whole.count, nullptr);
    for (const PreparedLayer& layer : layers_) {
        const Bounds& reach = layer.reach;
        if (whole.maxY < reach.low[1] || whole.minY > reach.high[1] || whole.maxZ < reach.low[2] ||
            whole.minZ > reach.high[2])
            continue;
        const auto first = std::lower_bound(whole.x, whole.x + whole.count, static_cast<float>(reach.low[0])) - whole.x;
        const auto last =
            std::upper_bound(whole.x + first, whole.x + whole.count, static_cast<float>(reach.high[0])) - whole.x;
        if (last <= first) continue;
        if (!layer.everywhere && !anyOver(layer.over, labels + first, last - first)) continue;
        paintLayer(layer, rowFrom(buffers.coordinates, first, last), hu + first, labels + first,
                   buffers.tissue.data() + first, buffers.distance.data());
    }
    for (std::int64_t i = 0; i < whole.count; ++i)
        if (buffers.tissue[i] != nullptr) hu[i] += texture(*buffers.tissue[i], whole, i);
}

/// Covers each voxel by the share of it that lies in the solid: partial volume.
void Painter::paintLayer(const PreparedLayer& prepared, const Row& row, float* hu, std::uint8_t* labels,
                         const Tissue** tissue, float* distance) const {
    const Layer& layer = *prepared.layer;
    layer.solid->distances(row, distance);
    const float half = 0.5F * edge_, inverse = 1 / edge_;
    for (std::int64_t i = 0; i < row.count; ++i) {
        if (distance[i] >= half || !(prepared.everywhere || prepared.over[labels[i]])) continue;
        const float cover = std::min(1.0F, 0.5F - distance[i] * inverse);
        if (!layer.keepsTissue) {
            hu[i] += cover * (static_cast<float>(layer.tissue.hu) - hu[i]);
            if (distance[i] <= 0) tissue[i] = &layer.tissue;
        }
        if (!layer.keepsLabel && distance[i] <= 0) labels[i] = prepared.id;
    }
}

/// Deviation from the tissue's mean HU at a point.
float Painter::texture(const Tissue& tissue, const Row& row, std::int64_t i) const {
    float value = 0;
    const std::uint32_t seed = patient_.proportions().seed;
    if (tissue.mottle > 0) {
        const auto f = static_cast<float>(1 / tissue.grain);
        value +=
            static_cast<float>(tissue.mottle) * phantom::smoothNoise(row.x[i] * f, row.y[i] * f, row.z[i] * f, seed);
    }
    if (tissue.streaks > 0) {
        // Fat between muscle bundles: where a slowly varying field crosses zero.
        const float field = phantom::smoothNoise(row.x[i] / 17, row.y[i] / 17, row.z[i] / 45, seed + 77);
        const float closeness = 1 - std::min(1.0F, std::abs(field) * 7);
        value -= static_cast<float>(tissue.streaks) * closeness;
    }
    return value;
}

}  // namespace medseg::phantom
