#include "medseg/io/nifti_orientation.h"

#include <array>
#include <cmath>
#include <limits>

#include "medseg/base/error.h"

namespace medseg {
namespace {

using Matrix3 = std::array<std::array<double, 3>, 3>;

constexpr double kRightAngleTolerance = 1e-5;

double determinant(const Matrix3& m) {
    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

/// (a, b, c, d) of a rotation matrix, dividing by the largest of the four for precision.
std::array<double, 4> quaternionOf(const Matrix3& r) {
    const std::array<double, 4> squares{1 + r[0][0] + r[1][1] + r[2][2], 1 + r[0][0] - r[1][1] - r[2][2],
                                        1 - r[0][0] + r[1][1] - r[2][2], 1 - r[0][0] - r[1][1] + r[2][2]};
    const auto largest = static_cast<std::size_t>(std::max_element(squares.begin(), squares.end()) - squares.begin());
    const double ab = r[2][1] - r[1][2], ac = r[0][2] - r[2][0], ad = r[1][0] - r[0][1];
    const double bc = r[0][1] + r[1][0], bd = r[0][2] + r[2][0], cd = r[1][2] + r[2][1];
    // Row i holds four times the products of component i with all components.
    const double products[4][4] = {
        {squares[0], ab, ac, ad}, {ab, squares[1], bc, bd}, {ac, bc, squares[2], cd}, {ad, bd, cd, squares[3]}};
    const double scale = 0.5 / std::sqrt(squares[largest]);
    std::array<double, 4> q{};
    for (std::size_t i = 0; i < 4; ++i) q[i] = products[largest][i] * scale;
    if (q[0] < 0)
        for (double& component : q) component = -component;
    return q;
}

}  // namespace

Affine affineFromQuaternion(const Quaternion& quaternion, const Vec3& spacing) {
    const auto [b, c, d, flip] = quaternion;
    const double rest = 1 - (b * b + c * c + d * d);
    if (!(rest > -3 * static_cast<double>(std::numeric_limits<float>::epsilon())))
        throw DataError("damaged NIfTI header: the quaternion of the qform is longer than 1");
    const double a = std::sqrt(std::max(0.0, rest));
    const double rotation[3][3] = {{a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
                                   {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
                                   {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c}};
    Affine affine = identityAffine();
    for (int row = 0; row < 3; ++row)
        for (int column = 0; column < 3; ++column)
            affine[row][column] = rotation[row][column] * spacing[column] * (column == 2 && flip ? -1 : 1);
    return affine;
}

std::optional<Quaternion> quaternionFromAffine(const Affine& affine) {
    Matrix3 rotation{};
    for (int column = 0; column < 3; ++column) {
        const double length = std::hypot(affine[0][column], affine[1][column], affine[2][column]);
        for (int row = 0; row < 3; ++row) rotation[row][column] = affine[row][column] / length;
    }
    for (int i = 0; i < 3; ++i)
        for (int j = i + 1; j < 3; ++j) {
            double cosine = 0;
            for (int row = 0; row < 3; ++row) cosine += rotation[row][i] * rotation[row][j];
            if (std::abs(cosine) > kRightAngleTolerance) return std::nullopt;
        }
    const bool flip = determinant(rotation) < 0;
    if (flip)
        for (auto& row : rotation) row[2] = -row[2];
    const auto [a, b, c, d] = quaternionOf(rotation);
    return Quaternion{b, c, d, flip};
}

}  // namespace medseg
