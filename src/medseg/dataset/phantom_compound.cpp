// Solids made of other solids, and the noise that roughens them.
#include <algorithm>
#include <cmath>

#include "medseg/dataset/phantom_shapes.h"

namespace medseg::phantom {
namespace {

/// Distances of one row to a part.
class Scratch {
  public:
    explicit Scratch(std::int64_t count) : values_(static_cast<std::size_t>(count)) {}
    float* data() { return values_.data(); }
    float operator[](std::int64_t i) const { return values_[static_cast<std::size_t>(i)]; }

  private:
    std::vector<float> values_;
};

class Offset final : public Shape {
  public:
    Offset(Solid shape, double mm) : shape_(std::move(shape)), mm_(static_cast<float>(mm)) {}
    Bounds bounds() const override { return shape_->bounds().grownBy(mm_); }
    void distances(const Row& row, float* out) const override {
        shape_->distances(row, out);
        for (std::int64_t i = 0; i < row.count; ++i) out[i] -= mm_;
    }

  private:
    Solid shape_;
    float mm_;
};

class Complement final : public Shape {
  public:
    explicit Complement(Solid shape) : shape_(std::move(shape)) {}
    Bounds bounds() const override { return {}; }
    void distances(const Row& row, float* out) const override {
        shape_->distances(row, out);
        for (std::int64_t i = 0; i < row.count; ++i) out[i] = -out[i];
    }

  private:
    Solid shape_;
};

/// Smooth minimum of a and b (quadratic blend over k mm).
float smoothMinimum(float a, float b, float k) {
    const float h = std::max(k - std::abs(a - b), 0.0F);
    return std::min(a, b) - (k > 0 ? h * h / (4 * k) : 0.0F);
}

/// Folds the distances of all parts into `out`.
template <typename Blend>
void combine(const std::vector<Solid>& parts, const Row& row, float* out, Blend&& blend) {
    Scratch other(row.count);
    parts.front()->distances(row, out);
    for (std::size_t p = 1; p < parts.size(); ++p) {
        parts[p]->distances(row, other.data());
        for (std::int64_t i = 0; i < row.count; ++i) out[i] = blend(out[i], other[i]);
    }
}

class Union final : public Shape {
  public:
    Union(std::vector<Solid> parts, double blend) : parts_(std::move(parts)), blend_(static_cast<float>(blend)) {
        bounds_ = parts_.front()->bounds();
        for (const Solid& part : parts_) bounds_ = bounds_.joinedWith(part->bounds());
        bounds_ = bounds_.grownBy(blend / 4);
    }
    Bounds bounds() const override { return bounds_; }
    void distances(const Row& row, float* out) const override {
        combine(parts_, row, out, [this](float a, float b) { return smoothMinimum(a, b, blend_); });
    }

  private:
    std::vector<Solid> parts_;
    float blend_;
    Bounds bounds_;
};

class Intersection final : public Shape {
  public:
    Intersection(std::vector<Solid> parts, double blend) : parts_(std::move(parts)), blend_(static_cast<float>(blend)) {
        for (const Solid& part : parts_) bounds_ = bounds_.cutWith(part->bounds());
    }
    Bounds bounds() const override { return bounds_; }
    void distances(const Row& row, float* out) const override {
        combine(parts_, row, out, [this](float a, float b) { return -smoothMinimum(-a, -b, blend_); });
    }

  private:
    std::vector<Solid> parts_;
    float blend_;
    Bounds bounds_;
};

class Bumpy final : public Shape {
  public:
    Bumpy(Solid shape, double amplitude, double scale, std::uint32_t seed)
        : shape_(std::move(shape)),
          amplitude_(static_cast<float>(amplitude)),
          frequency_(static_cast<float>(1 / scale)),
          seed_(seed) {}
    Bounds bounds() const override { return shape_->bounds().grownBy(amplitude_); }
    void distances(const Row& row, float* out) const override {
        shape_->distances(row, out);
        for (std::int64_t i = 0; i < row.count; ++i)
            if (std::abs(out[i]) < 2 * amplitude_ + 4)
                out[i] += amplitude_ *
                          smoothNoise(row.x[i] * frequency_, row.y[i] * frequency_, row.z[i] * frequency_, seed_);
    }

  private:
    Solid shape_;
    float amplitude_, frequency_;
    std::uint32_t seed_;
};

float latticeValue(std::int32_t x, std::int32_t y, std::int32_t z, std::uint32_t seed) {
    std::uint32_t h = seed + static_cast<std::uint32_t>(x) * 0x8da6b343U + static_cast<std::uint32_t>(y) * 0xd8163841U +
                      static_cast<std::uint32_t>(z) * 0xcb1ab31fU;
    h = (h ^ (h >> 15)) * 0x2c1b3c6dU;
    h = (h ^ (h >> 12)) * 0x297a2d39U;
    return static_cast<float>((h ^ (h >> 15)) >> 8) * (2.0F / 16777216.0F) - 1.0F;
}

}  // namespace

Solid offset(Solid shape, double mm) {
    return std::make_shared<Offset>(std::move(shape), mm);
}

Solid unite(std::vector<Solid> parts, double blend) {
    return std::make_shared<Union>(std::move(parts), blend);
}
Solid intersect(std::vector<Solid> parts, double blend) {
    return std::make_shared<Intersection>(std::move(parts), blend);
}
Solid subtract(Solid from, Solid what, double blend) {
    return intersect({std::move(from), complement(std::move(what))}, blend);
}
Solid complement(Solid shape) {
    return std::make_shared<Complement>(std::move(shape));
}
Solid bumpy(Solid shape, double amplitude, double scale, std::uint32_t seed) {
    return std::make_shared<Bumpy>(std::move(shape), amplitude, scale, seed);
}

float smoothNoise(float x, float y, float z, std::uint32_t seed) {
    const float fx = std::floor(x), fy = std::floor(y), fz = std::floor(z);
    const auto ix = static_cast<std::int32_t>(fx), iy = static_cast<std::int32_t>(fy),
               iz = static_cast<std::int32_t>(fz);
    const auto ease = [](float t) { return t * t * (3 - 2 * t); };
    const float tx = ease(x - fx), ty = ease(y - fy), tz = ease(z - fz);
    const auto mix = [](float a, float b, float t) { return a + t * (b - a); };
    float plane[2];
    for (int k = 0; k < 2; ++k) {
        const float near = mix(latticeValue(ix, iy, iz + k, seed), latticeValue(ix + 1, iy, iz + k, seed), tx);
        const float far = mix(latticeValue(ix, iy + 1, iz + k, seed), latticeValue(ix + 1, iy + 1, iz + k, seed), tx);
        plane[k] = mix(near, far, ty);
    }
    return mix(plane[0], plane[1], tz);
}

}  // namespace medseg::phantom
