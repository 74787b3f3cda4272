// Area of the surface inside the cell around a corner, for each of the 256 ways in which its 8 voxels can lie in or out
// of the mask.
//
// The surface passes half-way between an inside and an outside voxel, as in marching cubes. If more than four voxels
// are inside, in and out are exchanged, which leaves the surface where it is. The voxels that remain fall into groups
// joined by cell edges; each group is cut off by one polygon through the middles of the cut edges, and there are only
// six shapes of groups. In a cell of 1 x 1 x 1 the polygons' pieces have these area vectors (direction: normal; length:
// area; only the magnitudes of the components matter for what follows):
//
//   1 voxel                       triangle                 (1,1,1)/8
//   2 along axis a                rectangle                4/8 along both other axes, 0 along a
//   3 in a plane normal to a      triangle and trapezium   4/8 along a; (3,3,3)/8
//   4 in a plane normal to a      square                   8/8 along a
//   4: one voxel and its 3        regular hexagon          (6,6,6)/8
//      neighbours
//   4 in a path over three axes   bent hexagon, in four    (1,1,1)/8, (3,3,3)/8, and 2/8 along the middle axis together
//                                 triangles                with 2/8 along the first, and along the last
//
// A cell of other spacing stretches an area vector (x, y, z) to (x sy sz, y sx sz, z sx sy). This gives the values of
// the table in google-deepmind/surface-distance. In two dimensions the pieces are lines: half a diagonal for a single
// voxel or three, a full edge for two neighbours.
#include <array>
#include <bit>
#include <cmath>

#include "medseg/metrics/surface_bits.h"

namespace medseg {
namespace {

/// Axes along which `corner` has a neighbour in `set`.
int neighbourAxes(int set, int corner) {
    int axes = 0;
    for (int axis = 0; axis < 3; ++axis)
        if ((set >> (corner ^ 1 << axis) & 1) != 0) axes |= 1 << axis;
    return axes;
}

/// The voxels of `set` that are joined to its lowest one by cell edges.
int firstGroup(int set) {
    int group = set & -set;
    for (int previous = 0; group != previous;) {
        previous = group;
        for (int corner = 0; corner < 8; ++corner)
            if ((group >> corner & 1) != 0)
                for (int axis = 0; axis < 3; ++axis) group |= set & 1 << (corner ^ 1 << axis);
    }
    return group;
}

class PolygonArea {
  public:
    explicit PolygonArea(const Vec3& spacing)
        : face_{spacing[1] * spacing[2], spacing[0] * spacing[2], spacing[0] * spacing[1]} {}

    double ofGroup(int group) const {
        int axes = 0;    // along which the group extends
        int most = 0;    // neighbours of its best connected voxel
        int middle = 0;  // axis of the edge between two voxels with two neighbours each
        for (int corner = 0; corner < 8; ++corner) {
            if ((group >> corner & 1) == 0) continue;
            const int own = neighbourAxes(group, corner);
            axes |= own;
            most = std::max(most, std::popcount(static_cast<unsigned>(own)));
            for (int axis = 0; axis < 3; ++axis)
                if ((own >> axis & 1) != 0 && std::popcount(static_cast<unsigned>(own)) == 2 &&
                    std::popcount(static_cast<unsigned>(neighbourAxes(group, corner ^ 1 << axis))) == 2)
                    middle = axis;
        }
        const int flatAxis = std::countr_zero(static_cast<unsigned>(~axes));  // 3 if the group extends along all axes
        switch (std::popcount(static_cast<unsigned>(group))) {
            case 1:
                return even(1);
            case 2:
                return rectangle(std::countr_zero(static_cast<unsigned>(axes)));
            case 3:
                return 0.5 * face_[flatAxis] + even(3);
            default:
                if (flatAxis < 3) return face_[flatAxis];
                return most == 3 ? even(6) : bentHexagon(middle);
        }
    }

  private:
    double length(double x, double y, double z) const {
        return std::sqrt(x * face_[0] * (x * face_[0]) + y * face_[1] * (y * face_[1]) + z * face_[2] * (z * face_[2]));
    }
    /// A piece whose normal leans equally to all axes.
    double even(double eighths) const { return length(eighths / 8, eighths / 8, eighths / 8); }
    double rectangle(int along) const {
        return length(along == 0 ? 0 : 0.5, along == 1 ? 0 : 0.5, along == 2 ? 0 : 0.5);
    }
    double bentHexagon(int middle) const {
        double area = even(1) + even(3);
        for (int other = 0; other < 3; ++other) {
            if (other == middle) continue;
            Vec3 piece{0, 0, 0};
            piece[middle] = piece[other] = 0.25;
            area += length(piece[0], piece[1], piece[2]);
        }
        return area;
    }

    Vec3 face_;  // areas of the cell's faces, by their normal
};

double cellArea(int code, const PolygonArea& polygon) {
    if (std::popcount(static_cast<unsigned>(code)) > 4) code ^= 255;
    double area = 0;
    while (code != 0) {
        const int group = firstGroup(code);
        area += polygon.ofGroup(group);
        code ^= group;
    }
    return area;
}

double cellLength(int code, const Vec3& spacing) {
    const double halfDiagonal = 0.5 * std::sqrt(spacing[0] * spacing[0] + spacing[1] * spacing[1]);
    switch (code) {
        case 0:
        case 15:
            return 0;
        case 0b0011:
        case 0b1100:
            return spacing[0];
        case 0b0101:
        case 0b1010:
            return spacing[1];
        case 0b0110:
        case 0b1001:
            return 2 * halfDiagonal;
        default:
            return halfDiagonal;
    }
}

}  // namespace

std::vector<double> surfaceElementWeights(const Vec3& spacing, bool isFlat) {
    const PolygonArea polygon(spacing);
    std::vector<double> weights(isFlat ? 16 : 256);
    for (int code = 0; code < static_cast<int>(weights.size()); ++code)
        weights[code] = isFlat ? cellLength(code, spacing) : cellArea(code, polygon);
    return weights;
}

}  // namespace medseg
