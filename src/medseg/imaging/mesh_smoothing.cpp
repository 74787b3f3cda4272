#include "medseg/imaging/mesh_smoothing.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

// Neighbours of every vertex, each once; none for vertices on open borders, which therefore stay.
class Neighbours {
  public:
    explicit Neighbours(const Mesh& mesh) : start_(mesh.vertices.size() + 1, 0) {
        for (const auto& triangle : mesh.triangles)
            for (const auto vertex : triangle) {
                if (vertex >= mesh.vertices.size())
                    throw DataError(
                        fmt::format("mesh: a triangle names vertex {} of {}", vertex, mesh.vertices.size()));
                start_[vertex + 1] += 2;
            }
        for (std::size_t i = 1; i < start_.size(); ++i) start_[i] += start_[i - 1];
        list_.resize(start_.back());
        std::vector<std::size_t> next(start_.begin(), start_.end() - 1);
        for (const auto& t : mesh.triangles)
            for (int i = 0; i < 3; ++i) {
                list_[next[t[i]]++] = t[(i + 1) % 3];
                list_[next[t[i]]++] = t[(i + 2) % 3];
            }
        count_.resize(mesh.vertices.size());
        parallelFor(0, static_cast<std::int64_t>(count_.size()), 4096, [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t v = first; v < last; ++v) count_[v] = uniqueNeighbours(v);
        });
    }

    std::size_t count(std::int64_t vertex) const { return count_[vertex]; }
    const std::uint32_t* of(std::int64_t vertex) const { return list_.data() + start_[vertex]; }

  private:
    // Around an inner vertex each neighbour occurs in two triangles.
    std::size_t uniqueNeighbours(std::int64_t vertex) {
        const auto begin = list_.begin() + static_cast<std::ptrdiff_t>(start_[vertex]);
        const auto end = list_.begin() + static_cast<std::ptrdiff_t>(start_[vertex + 1]);
        std::sort(begin, end);
        for (auto it = begin; it != end; it = std::upper_bound(it, end, *it))
            if (std::upper_bound(it, end, *it) - it < 2) return 0;
        return static_cast<std::size_t>(std::unique(begin, end) - begin);
    }

    std::vector<std::size_t> start_;
    std::vector<std::uint32_t> list_;
    std::vector<std::size_t> count_;
};

void step(Mesh& mesh, const Neighbours& neighbours, double factor) {
    const std::vector<std::array<float, 3>> old = mesh.vertices;
    parallelFor(0, static_cast<std::int64_t>(old.size()), 4096, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t v = first; v < last; ++v) {
            const std::size_t count = neighbours.count(v);
            if (count == 0) continue;
            std::array<double, 3> mean{};
            for (std::size_t i = 0; i < count; ++i)
                for (int axis = 0; axis < 3; ++axis) mean[axis] += static_cast<double>(old[neighbours.of(v)[i]][axis]);
            for (int axis = 0; axis < 3; ++axis) {
                const auto position = static_cast<double>(old[v][axis]);
                mesh.vertices[v][axis] =
                    static_cast<float>(position + factor * (mean[axis] / static_cast<double>(count) - position));
            }
        }
    });
}

void requireIterations(int iterations) {
    if (iterations < 0) throw UsageError(fmt::format("mesh smoothing: {} iterations", iterations));
}

}  // namespace

void smoothLaplacian(Mesh& mesh, int iterations, double factor) {
    requireIterations(iterations);
    if (!(factor >= 0 && factor <= 1))
        throw UsageError(fmt::format("mesh smoothing: factor {} is outside 0..1", factor));
    const Neighbours neighbours(mesh);
    for (int i = 0; i < iterations; ++i) step(mesh, neighbours, factor);
}

void smoothTaubin(Mesh& mesh, int iterations, double shrink, double grow) {
    requireIterations(iterations);
    if (!(shrink > 0 && shrink <= 1 && grow < 0 && grow >= -1.1))
        throw UsageError(fmt::format("mesh smoothing: use factors in 0..1 and -1.1..0, not {} and {}", shrink, grow));
    const Neighbours neighbours(mesh);
    for (int i = 0; i < iterations; ++i) {
        step(mesh, neighbours, shrink);
        step(mesh, neighbours, grow);
    }
}

}  // namespace medseg
