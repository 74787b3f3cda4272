#include "medseg/imaging/marching_cubes_table.h"

#include <limits>
#include <vector>

namespace medseg {
namespace {

using Corner = std::array<int, 3>;

int cornerBit(const Corner& c) {
    return c[1] + 2 * c[2] + 4 * c[0];
}

// Edge between two corners that differ along one axis.
int edgeBetween(const Corner& a, const Corner& b) {
    for (int axis = 0; axis < 3; ++axis)
        if (a[axis] != b[axis]) {
            const int first = axis == 0 ? 1 : 0, second = axis == 2 ? 1 : 2;
            return 4 * axis + a[first] + 2 * a[second];
        }
    return 0;
}

// Corners of a face counter-clockwise seen from outside the cell.
std::array<Corner, 4> faceCorners(int axis, int side) {
    const int u = (axis + 1) % 3, v = (axis + 2) % 3;
    std::array<Corner, 4> corners{};
    constexpr std::array<std::array<int, 2>, 4> square{{{0, 0}, {1, 0}, {1, 1}, {0, 1}}};
    for (int i = 0; i < 4; ++i) {
        const auto& at = square[side == 1 ? i : 3 - i];
        corners[i][axis] = side;
        corners[i][u] = at[0];
        corners[i][v] = at[1];
    }
    return corners;
}

// Bit set of the two faces that an edge belongs to.
int facesOfEdge(int edge) {
    const int axis = edge / 4, first = axis == 0 ? 1 : 0, second = axis == 2 ? 1 : 2;
    return 1 << (2 * first + (edge & 1)) | 1 << (2 * second + (edge >> 1 & 1));
}

// Splits a polygon into triangles with as few diagonals inside a face of the cell as possible: such a diagonal could
// coincide with one of the neighbouring cell.
class Triangulation {
  public:
    explicit Triangulation(const std::vector<int>& polygon) : polygon_(polygon) {
        const std::size_t n = polygon.size();
        cost_.assign(n, std::vector<int>(n, 0));
        split_.assign(n, std::vector<std::size_t>(n, 0));
        for (std::size_t length = 2; length < n; ++length)
            for (std::size_t i = 0; i + length < n; ++i) {
                const std::size_t j = i + length;
                cost_[i][j] = std::numeric_limits<int>::max();
                for (std::size_t k = i + 1; k < j; ++k) {
                    const int cost = cost_[i][k] + cost_[k][j] + badness(i, k) + badness(k, j);
                    if (cost < cost_[i][j]) cost_[i][j] = cost, split_[i][j] = k;
                }
            }
    }

    template <typename Emit>
    void forTriangles(std::size_t i, std::size_t j, const Emit& emit) const {
        if (j < i + 2) return;
        const std::size_t k = split_[i][j];
        emit(polygon_[i], polygon_[k], polygon_[j]);
        forTriangles(i, k, emit);
        forTriangles(k, j, emit);
    }

  private:
    int badness(std::size_t i, std::size_t j) const {
        if (j - i < 2) return 0;
        return (facesOfEdge(polygon_[i]) & facesOfEdge(polygon_[j])) != 0 ? 1 : 0;
    }

    std::vector<int> polygon_;
    std::vector<std::vector<int>> cost_;
    std::vector<std::vector<std::size_t>> split_;
};

CubeCase buildCase(int inside) {
    const auto isInside = [inside](const Corner& c) { return (inside >> cornerBit(c) & 1) != 0; };
    // Walking round a face, the surface enters before a stretch of inside corners and leaves after it.
    std::array<int, 12> next;
    next.fill(-1);
    for (int axis = 0; axis < 3; ++axis)
        for (int side = 0; side < 2; ++side) {
            const auto corners = faceCorners(axis, side);
            for (int i = 0; i < 4; ++i) {
                if (isInside(corners[i]) || !isInside(corners[(i + 1) % 4])) continue;
                int j = (i + 1) % 4;
                while (isInside(corners[(j + 1) % 4])) j = (j + 1) % 4;
                const int enter = edgeBetween(corners[i], corners[(i + 1) % 4]);
                next[enter] = edgeBetween(corners[j], corners[(j + 1) % 4]);
            }
        }
    CubeCase result;
    std::array<bool, 12> used{};
    for (int start = 0; start < 12; ++start) {
        if (next[start] < 0 || used[start]) continue;
        std::vector<int> polygon;
        for (int edge = start; !used[edge]; edge = next[edge]) {
            used[edge] = true;
            polygon.push_back(edge);
        }
        Triangulation(polygon).forTriangles(0, polygon.size() - 1, [&](int a, int b, int c) {
            const int at = 3 * result.triangles++;
            result.edges[at] = static_cast<std::uint8_t>(a);
            result.edges[at + 1] = static_cast<std::uint8_t>(b);
            result.edges[at + 2] = static_cast<std::uint8_t>(c);
        });
    }
    return result;
}

}  // namespace

const std::array<CubeCase, 256>& cubeCases() {
    static const std::array<CubeCase, 256> cases = [] {
        std::array<CubeCase, 256> result;
        for (int i = 0; i < 256; ++i) result[i] = buildCase(i);
        return result;
    }();
    return cases;
}

}  // namespace medseg
