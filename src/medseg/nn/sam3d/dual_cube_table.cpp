#include "medseg/nn/sam3d/dual_cube_table.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace medseg {
namespace {

bool isInside(int number, int corner) {
    return (number >> corner & 1) != 0;
}

/// Sets of small numbers that are joined step by step.
class JoinedSets {
  public:
    explicit JoinedSets(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), 0); }
    /// The smallest member of an element's set.
    int root(int element) const {
        while (parent_[static_cast<std::size_t>(element)] != element)
            element = parent_[static_cast<std::size_t>(element)];
        return element;
    }
    void join(int a, int b) {
        const int first = root(a), second = root(b);
        parent_[static_cast<std::size_t>(std::max(first, second))] = std::min(first, second);
    }

  private:
    std::vector<int> parent_;
};

struct CubeFace {
    std::array<int, 3> step{0, 0, 0};
    std::vector<int> corners;
};

std::vector<CubeFace> cubeFaces() {
    std::vector<CubeFace> faces;
    for (std::size_t axis = 0; axis < 3; ++axis)
        for (const int side : {0, 1}) {
            CubeFace face;
            face.step[axis] = side == 1 ? 1 : -1;
            for (int corner = 0; corner < 8; ++corner)
                if ((corner >> axis & 1) == side) face.corners.push_back(corner);
            faces.push_back(std::move(face));
        }
    return faces;
}

bool contains(const std::vector<int>& corners, int corner) {
    return std::find(corners.begin(), corners.end(), corner) != corners.end();
}

DualCubeCase caseOf(int number) {
    std::vector<int> crossed;
    for (int edge = 0; edge < 12; ++edge) {
        const auto& ends = kCubeEdges[static_cast<std::size_t>(edge)];
        if (isInside(number, ends[0]) != isInside(number, ends[1])) crossed.push_back(edge);
    }
    JoinedSets loops(12), regions(8);
    for (const auto& ends : kCubeEdges)
        if (isInside(number, ends[0]) == isInside(number, ends[1])) regions.join(ends[0], ends[1]);
    DualCubeCase result;
    int ambiguousFaces = 0;
    for (const CubeFace& face : cubeFaces()) {
        std::vector<int> own;
        for (const int edge : crossed) {
            const auto& ends = kCubeEdges[static_cast<std::size_t>(edge)];
            if (contains(face.corners, ends[0]) && contains(face.corners, ends[1])) own.push_back(edge);
        }
        if (own.size() == 2) loops.join(own[0], own[1]);
        if (own.size() != 4) continue;
        ++ambiguousFaces;
        result.face = face.step;
        // The surface cuts every inside corner off.
        for (std::size_t i = 0; i < own.size(); ++i)
            for (std::size_t j = i + 1; j < own.size(); ++j)
                for (const int corner : kCubeEdges[static_cast<std::size_t>(own[i])]) {
                    const auto& other = kCubeEdges[static_cast<std::size_t>(own[j])];
                    if (isInside(number, corner) && (other[0] == corner || other[1] == corner))
                        loops.join(own[i], own[j]);
                }
    }
    for (const int edge : crossed) {
        if (loops.root(edge) != edge) continue;
        std::vector<int> loop;
        for (const int other : crossed)
            if (loops.root(other) == edge) loop.push_back(other);
        result.vertices.push_back(std::move(loop));
    }
    // By the first corner of the inside region that a loop bounds, then by the first outside corner at it.
    const auto place = [&](const std::vector<int>& loop) {
        int inside = 8, outside = 8;
        for (const int edge : loop)
            for (const int corner : kCubeEdges[static_cast<std::size_t>(edge)]) {
                if (isInside(number, corner))
                    inside = std::min(inside, regions.root(corner));
                else
                    outside = std::min(outside, corner);
            }
        return std::make_pair(inside, outside);
    };
    std::stable_sort(result.vertices.begin(), result.vertices.end(),
                     [&](const auto& a, const auto& b) { return place(a) < place(b); });
    result.ambiguous = ambiguousFaces == 1 && result.vertices.size() == 1;
    if (!result.ambiguous) result.face = {0, 0, 0};
    return result;
}

}  // namespace

const std::array<DualCubeCase, 256>& dualCubeTable() {
    static const std::array<DualCubeCase, 256> table = [] {
        std::array<DualCubeCase, 256> cases;
        for (int number = 0; number < 256; ++number) cases[static_cast<std::size_t>(number)] = caseOf(number);
        return cases;
    }();
    return table;
}

}  // namespace medseg
