// Solids as signed distance fields: the vocabulary in which the phantom's anatomy is written.
// Coordinates are the patient's: millimetres, x towards the patient's right, y anterior, z superior.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "medseg/volume/geometry.h"

namespace medseg::phantom {

/// Points that are evaluated together: one image row. Coordinates may wander a little in all three axes because the
/// patient is warped, x ascends.
struct Row {
    std::int64_t count = 0;
    const float* x = nullptr;
    const float* y = nullptr;
    const float* z = nullptr;
    float minX = 0, maxX = 0, minY = 0, maxY = 0, minZ = 0, maxZ = 0;
};

/// Axis-aligned bounds, mm.
struct Bounds {
    Vec3 low{-1e6, -1e6, -1e6};
    Vec3 high{1e6, 1e6, 1e6};

    static Bounds around(const Vec3& center, const Vec3& reach);
    Bounds grownBy(double mm) const;
    Bounds joinedWith(const Bounds& other) const;
    Bounds cutWith(const Bounds& other) const;
};

/// Distances farther than this from a surface are only known to be "far": at least this value.
inline constexpr float kReach = 16.0F;

class Shape {
  public:
    virtual ~Shape() = default;
    /// The solid (distance <= 0) lies within.
    virtual Bounds bounds() const = 0;
    /// Writes the signed distance to the surface in mm (negative inside) of every point; exact near the surface for
    /// tubes and planes, first-order for the others.
    virtual void distances(const Row& row, float* out) const = 0;
};

using Solid = std::shared_ptr<const Shape>;

/// Rotations in degrees about x, then y, then z.
Solid ellipsoid(const Vec3& center, const Vec3& radii, const Vec3& degrees = {0, 0, 0});
/// Box with half extents `half` and edges rounded by `rounding` mm.
Solid roundedBox(const Vec3& center, const Vec3& half, double rounding, const Vec3& degrees = {0, 0, 0});

struct TubePoint {
    Vec3 position;
    double radius;
};
/// A tube along a smooth curve (Catmull-Rom) through the points, its radius interpolated. `stretch` scales its
/// cross-section along the axes (1,1,1.6: taller than wide).
Solid tube(const std::vector<TubePoint>& points, const Vec3& stretch = {1, 1, 1});
/// Straight segments between consecutive pairs of points: 0-1, 2-3 ...: for vessel trees.
Solid segments(const std::vector<TubePoint>& pairs);

/// Points with dot(normal, p - point) <= 0; `normal` need not have unit length.
Solid halfSpace(const Vec3& point, const Vec3& normal);

/// Cross-section of the trunk at one height: half width, and how far it reaches to the front and the back.
struct OutlineSection {
    double z;
    double halfWidth;
    double front;
    double back;
};
/// A trunk: rounded-rectangle cross-sections interpolated along z; ascending z, squareness 0 (ellipse) .. 0.9.
Solid trunk(const std::vector<OutlineSection>& sections, double squareness);

/// A flat-topped bump of a height field: height / (1 + q^2), q = ((x-cx)/rx)^2 + ((y-cy)/ry)^2.
struct Dome {
    double x, y, radiusX, radiusY, height;
};
/// Everything below the surface z = base + sum of domes.
Solid belowDomes(double base, const std::vector<Dome>& domes);

/// Grown by `mm` (shrunk if negative).
Solid offset(Solid shape, double mm);
/// Union; `blend` mm of smoothing where the parts meet.
Solid unite(std::vector<Solid> parts, double blend = 0);
Solid intersect(std::vector<Solid> parts, double blend = 0);
Solid subtract(Solid from, Solid what, double blend = 0);
Solid complement(Solid shape);
/// Surface displaced by smooth noise of `amplitude` mm and feature size `scale` mm.
Solid bumpy(Solid shape, double amplitude, double scale, std::uint32_t seed);

/// Smooth noise in about -1..1 with feature size 1, the same on every platform.
float smoothNoise(float x, float y, float z, std::uint32_t seed);

}  // namespace medseg::phantom
