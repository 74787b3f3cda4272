#include "medseg/dataset/phantom_shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace medseg::phantom {
namespace {

constexpr int kCurveSteps = 5;

using Matrix3 = std::array<std::array<float, 3>, 3>;

/// Rows are the axes of the rotated frame: multiplying takes patient coordinates to the shape's own.
Matrix3 frameOf(const Vec3& degrees) {
    constexpr double kRadians = std::numbers::pi / 180;
    const double cx = std::cos(degrees[0] * kRadians), sx = std::sin(degrees[0] * kRadians);
    const double cy = std::cos(degrees[1] * kRadians), sy = std::sin(degrees[1] * kRadians);
    const double cz = std::cos(degrees[2] * kRadians), sz = std::sin(degrees[2] * kRadians);
    // R = Rz Ry Rx; its columns are the rotated axes.
    const double r[3][3] = {{cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx},
                            {sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx},
                            {-sy, cy * sx, cy * cx}};
    Matrix3 frame{};
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) frame[i][j] = static_cast<float>(r[j][i]);
    return frame;
}

class OrientedShape : public Shape {
  public:
    OrientedShape(const Vec3& center, const Vec3& half, const Vec3& degrees)
        : center_(center), frame_(frameOf(degrees)) {
        Vec3 reach{};
        for (int axis = 0; axis < 3; ++axis)
            for (int k = 0; k < 3; ++k) reach[axis] += std::abs(frame_[k][axis]) * half[k];
        bounds_ = Bounds::around(center, reach);
    }
    Bounds bounds() const override { return bounds_; }

  protected:
    std::array<float, 3> local(const Row& row, std::int64_t i) const {
        const float p[3] = {row.x[i] - static_cast<float>(center_[0]), row.y[i] - static_cast<float>(center_[1]),
                            row.z[i] - static_cast<float>(center_[2])};
        std::array<float, 3> q{};
        for (int k = 0; k < 3; ++k) q[k] = frame_[k][0] * p[0] + frame_[k][1] * p[1] + frame_[k][2] * p[2];
        return q;
    }

  private:
    Vec3 center_;
    Matrix3 frame_;
    Bounds bounds_;
};

class Ellipsoid final : public OrientedShape {
  public:
    Ellipsoid(const Vec3& center, const Vec3& radii, const Vec3& degrees) : OrientedShape(center, radii, degrees) {
        for (int k = 0; k < 3; ++k) inverse_[k] = static_cast<float>(1 / radii[k]);
        smallest_ = static_cast<float>(std::min({radii[0], radii[1], radii[2]}));
    }
    void distances(const Row& row, float* out) const override {
        for (std::int64_t i = 0; i < row.count; ++i) {
            const auto q = local(row, i);
            float square = 0, gradient = 0;
            for (int k = 0; k < 3; ++k) {
                const float u = q[k] * inverse_[k], g = u * inverse_[k];
                square += u * u;
                gradient += g * g;
            }
            const float level = std::sqrt(square), slope = std::sqrt(gradient);
            out[i] = slope > 1e-6F ? level * (level - 1) / slope : -smallest_;
        }
    }

  private:
    std::array<float, 3> inverse_{};
    float smallest_ = 0;
};

class RoundedBox final : public OrientedShape {
  public:
    RoundedBox(const Vec3& center, const Vec3& half, double rounding, const Vec3& degrees)
        : OrientedShape(center, half, degrees), rounding_(static_cast<float>(rounding)) {
        for (int k = 0; k < 3; ++k) core_[k] = static_cast<float>(std::max(0.0, half[k] - rounding));
    }
    void distances(const Row& row, float* out) const override {
        for (std::int64_t i = 0; i < row.count; ++i) {
            const auto q = local(row, i);
            float outside = 0, inside = -1e6F;
            for (int k = 0; k < 3; ++k) {
                const float d = std::abs(q[k]) - core_[k];
                outside += d > 0 ? d * d : 0.0F;
                inside = std::max(inside, d);
            }
            out[i] = std::sqrt(outside) + std::min(inside, 0.0F) - rounding_;
        }
    }

  private:
    std::array<float, 3> core_{};
    float rounding_;
};

struct Capsule {
    std::array<float, 3> start{}, along{};
    float inverseSquare = 0, radius = 0, radiusChange = 0;
    std::array<float, 3> low{}, high{};  ///< bounds in patient coordinates, grown by kReach
};

class Tube final : public Shape {
  public:
    Tube(const std::vector<TubePoint>& pairs, const Vec3& stretch) {
        for (int k = 0; k < 3; ++k) inverseStretch_[k] = static_cast<float>(1 / stretch[k]);
        scale_ = static_cast<float>(std::min({stretch[0], stretch[1], stretch[2]}));
        bool first = true;
        for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
            addCapsule(pairs[i], pairs[i + 1], stretch);
            Bounds box;
            for (int k = 0; k < 3; ++k) {
                box.low[k] = capsules_.back().low[k] + kReach;
                box.high[k] = capsules_.back().high[k] - kReach;
            }
            bounds_ = first ? box : bounds_.joinedWith(box);
            first = false;
        }
    }
    Bounds bounds() const override { return bounds_; }

    void distances(const Row& row, float* out) const override {
        std::fill_n(out, row.count, kReach);
        for (const Capsule& c : capsules_) {
            if (c.low[0] > row.maxX || c.high[0] < row.minX || c.low[1] > row.maxY || c.high[1] < row.minY ||
                c.low[2] > row.maxZ || c.high[2] < row.minZ)
                continue;
            const auto first = std::lower_bound(row.x, row.x + row.count, c.low[0]) - row.x;
            const auto last = std::upper_bound(row.x + first, row.x + row.count, c.high[0]) - row.x;
            for (std::int64_t i = first; i < last; ++i) out[i] = std::min(out[i], distance(c, row, i));
        }
    }

  private:
    void addCapsule(const TubePoint& from, const TubePoint& to, const Vec3& stretch) {
        Capsule c;
        float square = 0;
        const double radius = std::max(from.radius, to.radius);
        for (int k = 0; k < 3; ++k) {
            c.start[k] = static_cast<float>(from.position[k]) * inverseStretch_[k];
            c.along[k] = static_cast<float>(to.position[k]) * inverseStretch_[k] - c.start[k];
            square += c.along[k] * c.along[k];
            const double reach = radius * stretch[k] + kReach;
            c.low[k] = static_cast<float>(std::min(from.position[k], to.position[k]) - reach);
            c.high[k] = static_cast<float>(std::max(from.position[k], to.position[k]) + reach);
        }
        c.inverseSquare = square > 0 ? 1 / square : 0;
        c.radius = static_cast<float>(from.radius);
        c.radiusChange = static_cast<float>(to.radius - from.radius);
        capsules_.push_back(c);
    }

    float distance(const Capsule& c, const Row& row, std::int64_t i) const {
        const float px = row.x[i] * inverseStretch_[0] - c.start[0], py = row.y[i] * inverseStretch_[1] - c.start[1],
                    pz = row.z[i] * inverseStretch_[2] - c.start[2];
        const float t = std::clamp((px * c.along[0] + py * c.along[1] + pz * c.along[2]) * c.inverseSquare, 0.0F, 1.0F);
        const float dx = px - t * c.along[0], dy = py - t * c.along[1], dz = pz - t * c.along[2];
        return scale_ * (std::sqrt(dx * dx + dy * dy + dz * dz) - c.radius - t * c.radiusChange);
    }

    std::vector<Capsule> capsules_;
    std::array<float, 3> inverseStretch_{};
    float scale_ = 1;
    Bounds bounds_;
};

class HalfSpace final : public Shape {
  public:
    HalfSpace(const Vec3& point, const Vec3& normal) {
        const double length = std::sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]);
        for (int k = 0; k < 3; ++k) {
            normal_[k] = static_cast<float>(normal[k] / length);
            level_ += static_cast<float>(normal[k] / length * point[k]);
        }
    }
    Bounds bounds() const override { return {}; }
    void distances(const Row& row, float* out) const override {
        for (std::int64_t i = 0; i < row.count; ++i)
            out[i] = normal_[0] * row.x[i] + normal_[1] * row.y[i] + normal_[2] * row.z[i] - level_;
    }

  private:
    std::array<float, 3> normal_{};
    float level_ = 0;
};

class Trunk final : public Shape {
  public:
    Trunk(const std::vector<OutlineSection>& sections, double squareness)
        : low_(sections.front().z), squareness_(static_cast<float>(squareness)) {
        const auto steps = static_cast<std::size_t>(std::ceil(sections.back().z - low_)) + 1;
        double width = 0, front = 0, back = 0;
        for (std::size_t i = 0; i < steps; ++i) {
            table_.push_back(sectionAt(sections, low_ + static_cast<double>(i)));
            width = std::max(width, table_.back().halfWidth);
            front = std::max(front, table_.back().front);
            back = std::min(back, table_.back().back);
        }
        bounds_ = {{-width, back, low_}, {width, front, sections.back().z}};
    }
    Bounds bounds() const override { return bounds_; }

    void distances(const Row& row, float* out) const override {
        for (std::int64_t i = 0; i < row.count; ++i) {
            const float position =
                std::clamp(row.z[i] - static_cast<float>(low_), 0.0F, static_cast<float>(table_.size() - 1));
            const auto below = std::min(static_cast<std::size_t>(position), table_.size() - 2);
            const float t = position - static_cast<float>(below);
            const OutlineSection &a = table_[below], &b = table_[below + 1];
            const auto mix = [t](double from, double to) {
                return static_cast<float>(from) + t * static_cast<float>(to - from);
            };
            const float width = mix(a.halfWidth, b.halfWidth), front = mix(a.front, b.front),
                        back = mix(a.back, b.back);
            const float depth = 0.5F * (front - back);
            const float u = std::clamp(row.x[i] / width, -1.6F, 1.6F);
            const float v = std::clamp((row.y[i] - 0.5F * (front + back)) / depth, -1.6F, 1.6F);
            const float level = std::sqrt(std::max(1e-8F, u * u + v * v - squareness_ * u * u * v * v));
            const float gx = u * (1 - squareness_ * v * v) / width, gy = v * (1 - squareness_ * u * u) / depth;
            const float slope = std::sqrt(gx * gx + gy * gy) / level;
            out[i] = slope > 1e-5F ? (level - 1) / slope : -std::min(width, depth);
        }
    }

  private:
    static OutlineSection sectionAt(const std::vector<OutlineSection>& sections, double z) {
        std::size_t next = 1;
        while (next + 1 < sections.size() && sections[next].z < z) ++next;
        const OutlineSection &a = sections[next - 1], &b = sections[next];
        const double t = std::clamp((z - a.z) / (b.z - a.z), 0.0, 1.0), s = t * t * (3 - 2 * t);
        return {z, a.halfWidth + s * (b.halfWidth - a.halfWidth), a.front + s * (b.front - a.front),
                a.back + s * (b.back - a.back)};
    }

    double low_;
    float squareness_;
    std::vector<OutlineSection> table_;  ///< one section a millimetre
    Bounds bounds_;
};

class BelowDomes final : public Shape {
  public:
    BelowDomes(double base, std::vector<Dome> domes) : base_(static_cast<float>(base)), domes_(std::move(domes)) {
        bounds_.high[2] = base;
        for (const Dome& dome : domes_) bounds_.high[2] += dome.height;
    }
    Bounds bounds() const override { return bounds_; }
    void distances(const Row& row, float* out) const override {
        for (std::int64_t i = 0; i < row.count; ++i) {
            float height = base_, slopeX = 0, slopeY = 0;
            for (const Dome& dome : domes_) {
                const auto rx = static_cast<float>(1 / dome.radiusX), ry = static_cast<float>(1 / dome.radiusY);
                const float u = (row.x[i] - static_cast<float>(dome.x)) * rx;
                const float v = (row.y[i] - static_cast<float>(dome.y)) * ry;
                const float square = u * u + v * v, q = 1 / (1 + square * square);
                const float bump = static_cast<float>(dome.height) * q;
                height += bump;
                slopeX -= 4 * bump * q * square * u * rx;
                slopeY -= 4 * bump * q * square * v * ry;
            }
            out[i] = (row.z[i] - height) / std::sqrt(1 + slopeX * slopeX + slopeY * slopeY);
        }
    }

  private:
    float base_;
    std::vector<Dome> domes_;
    Bounds bounds_;
};

TubePoint catmullRom(const TubePoint& a, const TubePoint& b, const TubePoint& c, const TubePoint& d, double t) {
    const auto spline = [t](double p0, double p1, double p2, double p3) {
        return 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t * t +
                      (3 * p1 - p0 - 3 * p2 + p3) * t * t * t);
    };
    TubePoint point{};
    for (int k = 0; k < 3; ++k) point.position[k] = spline(a.position[k], b.position[k], c.position[k], d.position[k]);
    point.radius = b.radius + t * (c.radius - b.radius);
    return point;
}

}  // namespace

Bounds Bounds::around(const Vec3& center, const Vec3& reach) {
    Bounds box;
    for (int k = 0; k < 3; ++k) {
        box.low[k] = center[k] - reach[k];
        box.high[k] = center[k] + reach[k];
    }
    return box;
}

Bounds Bounds::grownBy(double mm) const {
    Bounds box = *this;
    for (int k = 0; k < 3; ++k) {
        box.low[k] -= mm;
        box.high[k] += mm;
    }
    return box;
}

Bounds Bounds::joinedWith(const Bounds& other) const {
    Bounds box;
    for (int k = 0; k < 3; ++k) {
        box.low[k] = std::min(low[k], other.low[k]);
        box.high[k] = std::max(high[k], other.high[k]);
    }
    return box;
}

Bounds Bounds::cutWith(const Bounds& other) const {
    Bounds box;
    for (int k = 0; k < 3; ++k) {
        box.low[k] = std::max(low[k], other.low[k]);
        box.high[k] = std::min(high[k], other.high[k]);
    }
    return box;
}

Solid ellipsoid(const Vec3& center, const Vec3& radii, const Vec3& degrees) {
    return std::make_shared<Ellipsoid>(center, radii, degrees);
}

Solid roundedBox(const Vec3& center, const Vec3& half, double rounding, const Vec3& degrees) {
    return std::make_shared<RoundedBox>(center, half, rounding, degrees);
}

Solid tube(const std::vector<TubePoint>& points, const Vec3& stretch) {
    std::vector<TubePoint> pairs;
    TubePoint previous = points.front();
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
        const TubePoint& before = points[i > 0 ? i - 1 : 0];
        const TubePoint& after = points[std::min(i + 2, points.size() - 1)];
        for (int step = 1; step <= kCurveSteps; ++step) {
            const TubePoint next =
                catmullRom(before, points[i], points[i + 1], after, static_cast<double>(step) / kCurveSteps);
            pairs.push_back(previous);
            pairs.push_back(next);
            previous = next;
        }
    }
    return std::make_shared<Tube>(pairs, stretch);
}

Solid segments(const std::vector<TubePoint>& pairs) {
    return std::make_shared<Tube>(pairs, Vec3{1, 1, 1});
}
Solid halfSpace(const Vec3& point, const Vec3& normal) {
    return std::make_shared<HalfSpace>(point, normal);
}

Solid trunk(const std::vector<OutlineSection>& sections, double squareness) {
    return std::make_shared<Trunk>(sections, squareness);
}

Solid belowDomes(double base, const std::vector<Dome>& domes) {
    return std::make_shared<BelowDomes>(base, domes);
}

}  // namespace medseg::phantom
