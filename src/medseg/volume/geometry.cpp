#include "medseg/volume/geometry.h"

#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

double determinant3(const Affine& a) {
    return a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
           a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
}

Vec3 applyAffine(const Affine& a, const Vec3& p) {
    Vec3 result{};
    for (int r = 0; r < 3; ++r) result[r] = a[r][0] * p[0] + a[r][1] * p[1] + a[r][2] * p[2] + a[r][3];
    return result;
}

}  // namespace

Geometry::Geometry() : size_{1, 1, 1}, affine_(identityAffine()) {}

Geometry::Geometry(Index3 size, const Affine& affine) : size_(size), affine_(affine) {
    for (const auto n : size_)
        if (n <= 0) throw DataError(fmt::format("volume size {} is not positive", formatSize(size_)));
    for (const auto& row : affine_)
        for (const double value : row)
            if (!std::isfinite(value)) throw DataError("the affine holds values that are not finite numbers");
    if (determinant3(affine_) == 0) throw DataError("the affine is singular: a voxel axis has no extent");
}

Geometry Geometry::axisAligned(Index3 size, Vec3 spacing, Vec3 origin) {
    Affine affine = identityAffine();
    for (int axis = 0; axis < 3; ++axis) {
        affine[axis][axis] = spacing[axis];
        affine[axis][3] = origin[axis];
    }
    return {size, affine};
}

Vec3 Geometry::spacing() const {
    Vec3 result{};
    for (int c = 0; c < 3; ++c)
        result[c] = std::sqrt(affine_[0][c] * affine_[0][c] + affine_[1][c] * affine_[1][c] + affine_[2][c] * affine_[2][c]);
    return result;
}

double Geometry::voxelVolume() const { return std::abs(determinant3(affine_)); }

std::string Geometry::orientation() const {
    // Strongest remaining direction cosine first, so that each world axis is used once even when oblique.
    const Vec3 norms = spacing();
    std::string codes(3, '?');
    std::array<bool, 3> usedRow{}, usedColumn{};
    for (int step = 0; step < 3; ++step) {
        int bestRow = -1, bestColumn = -1;
        double best = -1;
        for (int r = 0; r < 3; ++r)
            for (int c = 0; c < 3; ++c) {
                if (usedRow[r] || usedColumn[c]) continue;
                const double cosine = std::abs(affine_[r][c]) / norms[c];
                if (cosine > best) {
                    best = cosine;
                    bestRow = r;
                    bestColumn = c;
                }
            }
        usedRow[bestRow] = usedColumn[bestColumn] = true;
        codes[bestColumn] = affine_[bestRow][bestColumn] >= 0 ? "RAS"[bestRow] : "LPI"[bestRow];
    }
    return codes;
}

Vec3 Geometry::voxelToWorld(const Vec3& voxel) const { return applyAffine(affine_, voxel); }
Vec3 Geometry::worldToVoxel(const Vec3& world) const { return applyAffine(inverse(affine_), world); }

bool Geometry::matches(const Geometry& other, double tolerance) const {
    if (size_ != other.size_) return false;
    for (int r = 0; r < 3; ++r)
        for (int c = 0; c < 4; ++c)
            if (std::abs(affine_[r][c] - other.affine_[r][c]) > tolerance) return false;
    return true;
}

std::string Geometry::describe() const {
    const Vec3 mm = spacing();
    return fmt::format("{} voxels of {:.4g} x {:.4g} x {:.4g} mm, {}, origin ({:.2f}, {:.2f}, {:.2f})", formatSize(size_),
                       mm[0], mm[1], mm[2], orientation(), affine_[0][3], affine_[1][3], affine_[2][3]);
}

void requireSameGeometry(const Geometry& a, const std::string& nameA, const Geometry& b, const std::string& nameB,
                         double tolerance) {
    if (a.matches(b, tolerance)) return;
    const char* what = a.size() != b.size() ? "size" : "position or orientation";
    throw DataError(fmt::format("{}: {} differs from {}: {} against {}: give volumes on the same grid", nameA, what,
                                nameB, a.describe(), b.describe()));
}

std::string formatSize(const Index3& size) { return fmt::format("{}x{}x{}", size[0], size[1], size[2]); }

Affine inverse(const Affine& a) {
    const double det = determinant3(a);
    if (det == 0 || !std::isfinite(det)) throw DataError("the affine is singular: a voxel axis has no extent");
    Affine result = identityAffine();
    for (int r = 0; r < 3; ++r)
        for (int c = 0; c < 3; ++c) {
            const int r1 = (c + 1) % 3, r2 = (c + 2) % 3, c1 = (r + 1) % 3, c2 = (r + 2) % 3;
            result[r][c] = (a[r1][c1] * a[r2][c2] - a[r1][c2] * a[r2][c1]) / det;
        }
    for (int r = 0; r < 3; ++r)
        result[r][3] = -(result[r][0] * a[0][3] + result[r][1] * a[1][3] + result[r][2] * a[2][3]);
    return result;
}

Affine multiply(const Affine& a, const Affine& b) {
    Affine result{};
    for (int r = 0; r < 4; ++r)
        for (int c = 0; c < 4; ++c)
            for (int k = 0; k < 4; ++k) result[r][c] += a[r][k] * b[k][c];
    return result;
}

Affine identityAffine() {
    Affine result{};
    for (int i = 0; i < 4; ++i) result[i][i] = 1;
    return result;
}

}  // namespace medseg
