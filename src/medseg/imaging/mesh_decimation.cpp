#include "medseg/imaging/mesh_decimation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <queue>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/imaging/vector_arithmetic.h"
#include "medseg/volume/geometry.h"

namespace medseg {
namespace {

// Sum of squared distances to planes, weighted by area: p^T A p + 2 b^T p + c.
struct Quadric {
    double xx = 0, xy = 0, xz = 0, yy = 0, yz = 0, zz = 0;
    Vec3 b{};
    double c = 0;
    double weight = 0;

    void addPlane(const Vec3& n, double d, double w) {
        xx += w * n[0] * n[0], xy += w * n[0] * n[1], xz += w * n[0] * n[2];
        yy += w * n[1] * n[1], yz += w * n[1] * n[2], zz += w * n[2] * n[2];
        for (int i = 0; i < 3; ++i) b[i] += w * d * n[i];
        c += w * d * d;
        weight += w;
    }
    Quadric& operator+=(const Quadric& o) {
        xx += o.xx, xy += o.xy, xz += o.xz, yy += o.yy, yz += o.yz, zz += o.zz, c += o.c, weight += o.weight;
        for (int i = 0; i < 3; ++i) b[i] += o.b[i];
        return *this;
    }
    double error(const Vec3& p) const {
        const double q = xx * p[0] * p[0] + yy * p[1] * p[1] + zz * p[2] * p[2] +
                         2 * (xy * p[0] * p[1] + xz * p[0] * p[2] + yz * p[1] * p[2]) + 2 * dot(b, p) + c;
        return std::max(0.0, q);
    }
    // Position of least error; false where planes leave it undetermined.
    bool minimum(Vec3& p) const {
        const double c00 = yy * zz - yz * yz, c01 = xz * yz - xy * zz, c02 = xy * yz - xz * yy;
        const double determinant = xx * c00 + xy * c01 + xz * c02;
        const double scale = xx + yy + zz;
        if (std::abs(determinant) <= 1e-6 * scale * scale * scale) return false;
        const double c11 = xx * zz - xz * xz, c12 = xy * xz - xx * yz, c22 = xx * yy - xy * xy;
        p = {-(c00 * b[0] + c01 * b[1] + c02 * b[2]) / determinant,
             -(c01 * b[0] + c11 * b[1] + c12 * b[2]) / determinant,
             -(c02 * b[0] + c12 * b[1] + c22 * b[2]) / determinant};
        return true;
    }
};

using Triangle = std::array<std::uint32_t, 3>;

class Decimator {
  public:
    explicit Decimator(Mesh& mesh) : mesh_(mesh), triangles_(mesh.triangles), left_(mesh.triangles.size()) {
        // Positions relative to the first vertex: quadrics lose digits far from the origin.
        if (!mesh.vertices.empty()) origin_ = {mesh.vertices[0][0], mesh.vertices[0][1], mesh.vertices[0][2]};
        for (const auto& v : mesh.vertices) points_.push_back(minus({v[0], v[1], v[2]}, origin_));
        facesOf_.resize(points_.size());
        quadrics_.resize(points_.size());
        version_.assign(points_.size(), 0);
        removed_.assign(triangles_.size(), false);
        for (std::uint32_t f = 0; f < triangles_.size(); ++f) {
            for (const auto vertex : triangles_[f]) {
                if (vertex >= points_.size())
                    throw DataError(fmt::format("mesh: a triangle names vertex {} of {}", vertex, points_.size()));
                facesOf_[vertex].push_back(f);
            }
            addTrianglePlane(triangles_[f]);
        }
        findBorder();
    }

    void run(const DecimationOptions& options) {
        for (std::uint32_t f = 0; f < triangles_.size(); ++f)
            for (int i = 0; i < 3; ++i) {
                const std::uint32_t a = triangles_[f][i], b = triangles_[f][(i + 1) % 3];
                if (a < b) push(a, b);
            }
        const double limit = options.maxErrorMm * options.maxErrorMm;
        while (left_ > options.targetTriangles && !queue_.empty()) {
            const Collapse best = queue_.top();
            queue_.pop();
            if (best.cost > limit) break;
            if (version_[best.a] != best.versionA || version_[best.b] != best.versionB) continue;
            if (isAllowed(best)) collapse(best);
        }
        store();
    }

  private:
    struct Collapse {
        double cost;  ///< mean squared distance to the planes, mm^2
        std::uint32_t a, b;
        std::uint32_t versionA, versionB;
        Vec3 target;
        bool operator<(const Collapse& o) const {  // the queue's top is its largest
            if (cost != o.cost) return cost > o.cost;
            return a != o.a ? a > o.a : b > o.b;
        }
    };

    void addTrianglePlane(const Triangle& t) {
        Vec3 normal = cross(minus(points_[t[1]], points_[t[0]]), minus(points_[t[2]], points_[t[0]]));
        const double length = std::sqrt(dot(normal, normal));
        if (!(length > 0)) return;
        for (double& v : normal) v /= length;
        for (const auto vertex : t) quadrics_[vertex].addPlane(normal, -dot(normal, points_[t[0]]), length / 2);
    }

    void findBorder() {
        onBorder_.assign(points_.size(), false);
        for (const Triangle& t : triangles_)
            for (int i = 0; i < 3; ++i)
                if (sharedFaces(t[i], t[(i + 1) % 3]) != 2) onBorder_[t[i]] = onBorder_[t[(i + 1) % 3]] = true;
    }

    int sharedFaces(std::uint32_t a, std::uint32_t b) const {
        int count = 0;
        for (const auto f : facesOf_[a])
            count += std::find(triangles_[f].begin(), triangles_[f].end(), b) != triangles_[f].end();
        return count;
    }

    std::vector<std::uint32_t> neighbours(std::uint32_t vertex) const {
        std::vector<std::uint32_t> result;
        for (const auto f : facesOf_[vertex])
            for (const auto other : triangles_[f])
                if (other != vertex) result.push_back(other);
        std::sort(result.begin(), result.end());
        result.erase(std::unique(result.begin(), result.end()), result.end());
        return result;
    }

    void push(std::uint32_t a, std::uint32_t b) {
        if (a > b) std::swap(a, b);
        if (onBorder_[a] || onBorder_[b]) return;
        Quadric sum = quadrics_[a];
        sum += quadrics_[b];
        Collapse entry{0, a, b, version_[a], version_[b], {}};
        const Vec3 pa = points_[a], pb = points_[b];
        const Vec3 edge = minus(pb, pa);
        const Vec3 middle{(pa[0] + pb[0]) / 2, (pa[1] + pb[1]) / 2, (pa[2] + pb[2]) / 2};
        Vec3 offset;
        // The minimum of nearly flat planes may lie far off: then the better of the ends and the middle.
        const bool solved = sum.minimum(entry.target);
        if (solved) offset = minus(entry.target, middle);
        if (!solved || dot(offset, offset) > 4 * dot(edge, edge)) {
            entry.target = middle;
            for (const Vec3& p : {pa, pb})
                if (sum.error(p) < sum.error(entry.target)) entry.target = p;
        }
        entry.cost = sum.weight > 0 ? sum.error(entry.target) / sum.weight : 0;
        queue_.push(entry);
    }

    // Link condition, and no triangle may turn over.
    bool isAllowed(const Collapse& collapse) const {
        const auto na = neighbours(collapse.a), nb = neighbours(collapse.b);
        std::vector<std::uint32_t> common;
        std::set_intersection(na.begin(), na.end(), nb.begin(), nb.end(), std::back_inserter(common));
        if (common.size() != 2 || na.size() + nb.size() - 4 < 3) return false;
        return !turnsOver(collapse.a, collapse.b, collapse.target) &&
               !turnsOver(collapse.b, collapse.a, collapse.target);
    }

    bool turnsOver(std::uint32_t moved, std::uint32_t other, const Vec3& target) const {
        for (const auto f : facesOf_[moved]) {
            const Triangle& t = triangles_[f];
            if (std::find(t.begin(), t.end(), other) != t.end()) continue;
            std::array<Vec3, 3> p;
            for (int i = 0; i < 3; ++i) p[i] = points_[t[i]];
            const Vec3 before = cross(minus(p[1], p[0]), minus(p[2], p[0]));
            for (int i = 0; i < 3; ++i)
                if (t[i] == moved) p[i] = target;
            const Vec3 after = cross(minus(p[1], p[0]), minus(p[2], p[0]));
            if (dot(before, after) <= 0.2 * std::sqrt(dot(before, before) * dot(after, after))) return true;
        }
        return false;
    }

    void collapse(const Collapse& c) {
        points_[c.a] = c.target;
        quadrics_[c.a] += quadrics_[c.b];
        for (const auto f : facesOf_[c.b]) {
            Triangle& t = triangles_[f];
            if (std::find(t.begin(), t.end(), c.a) != t.end()) {
                removed_[f] = true;
                --left_;
                for (const auto vertex : t)
                    if (vertex != c.b) std::erase(facesOf_[vertex], f);
                continue;
            }
            std::replace(t.begin(), t.end(), c.b, c.a);
            facesOf_[c.a].push_back(f);
        }
        facesOf_[c.b].clear();
        ++version_[c.a];
        ++version_[c.b];
        for (const auto neighbour : neighbours(c.a)) push(c.a, neighbour);
    }

    void store() {
        std::vector<std::uint32_t> number(points_.size(), 0);
        mesh_.vertices.clear();
        mesh_.triangles.clear();
        std::vector<bool> used(points_.size(), false);
        for (std::size_t f = 0; f < triangles_.size(); ++f)
            if (!removed_[f])
                for (const auto vertex : triangles_[f]) used[vertex] = true;
        for (std::size_t v = 0; v < points_.size(); ++v) {
            if (!used[v]) continue;
            number[v] = static_cast<std::uint32_t>(mesh_.vertices.size());
            std::array<float, 3> position;
            for (int i = 0; i < 3; ++i) position[i] = static_cast<float>(points_[v][i] + origin_[i]);
            mesh_.vertices.push_back(position);
        }
        for (std::size_t f = 0; f < triangles_.size(); ++f)
            if (!removed_[f])
                mesh_.triangles.push_back(
                    {number[triangles_[f][0]], number[triangles_[f][1]], number[triangles_[f][2]]});
    }

    Mesh& mesh_;
    Vec3 origin_{};
    std::vector<Vec3> points_;
    std::vector<Triangle> triangles_;
    std::vector<std::vector<std::uint32_t>> facesOf_;
    std::vector<Quadric> quadrics_;
    std::vector<std::uint32_t> version_;
    std::vector<bool> removed_, onBorder_;
    std::priority_queue<Collapse> queue_;
    std::size_t left_;
};

}  // namespace

void decimate(Mesh& mesh, const DecimationOptions& options) {
    if (mesh.triangles.size() <= options.targetTriangles) return;
    Decimator(mesh).run(options);
}

}  // namespace medseg
