#include "medseg/imaging/label_smoothing.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

struct Vote {
    std::int64_t dx, dy, dz;
    double weight;
};

// Offsets within two sigma, nearest first.
std::vector<Vote> votesFor(const Vec3& spacing, const Vec3& sigmaMm) {
    Index3 reach;
    for (int axis = 0; axis < 3; ++axis) {
        if (!(sigmaMm[axis] >= 0) || !std::isfinite(sigmaMm[axis]))
            throw UsageError(fmt::format("label smoothing of {} mm: use 0 or more", sigmaMm[axis]));
        reach[axis] = std::min<std::int64_t>(7, static_cast<std::int64_t>(2 * sigmaMm[axis] / spacing[axis]));
    }
    std::vector<Vote> votes;
    for (std::int64_t z = -reach[2]; z <= reach[2]; ++z)
        for (std::int64_t y = -reach[1]; y <= reach[1]; ++y)
            for (std::int64_t x = -reach[0]; x <= reach[0]; ++x) {
                const Index3 offset{x, y, z};
                double exponent = 0;
                for (int axis = 0; axis < 3; ++axis) {
                    if (offset[axis] == 0) continue;
                    const double steps = static_cast<double>(offset[axis]) * spacing[axis] / sigmaMm[axis];
                    exponent += steps * steps / 2;
                }
                if (exponent <= 2 + 1e-9) votes.push_back({x, y, z, std::exp(-exponent)});
            }
    std::stable_sort(votes.begin(), votes.end(), [](const Vote& a, const Vote& b) { return a.weight > b.weight; });
    return votes;
}

template <typename T>
struct Tally {
    T label;
    double weight;
};

template <typename T>
void count(std::vector<Tally<T>>& tallies, T label, double weight) {
    for (auto& tally : tallies)
        if (tally.label == label) {
            tally.weight += weight;
            return;
        }
    tallies.push_back({label, weight});
}

template <typename T>
T winner(const std::vector<Tally<T>>& tallies, T own) {
    Tally<T> best = tallies.front();
    for (const auto& tally : tallies) {
        const double difference = tally.weight - best.weight;
        const bool tie = std::abs(difference) < 1e-9;
        if ((!tie && difference > 0) || (tie && best.label != own && (tally.label == own || tally.label < best.label)))
            best = tally;
    }
    return best.label;
}

}  // namespace

template <typename T>
Volume<T> smoothLabels(const Volume<T>& labels, const LabelSmoothingOptions& options) {
    if (labels.empty()) throw DataError("label smoothing of a volume without voxels");
    const std::vector<Vote> votes = votesFor(labels.geometry().spacing(), options.sigmaMm);
    const auto [nx, ny, nz] = labels.size();
    Volume<T> out(labels.geometry());
    parallelFor(0, ny * nz, 8, [&, nx = nx, ny = ny, nz = nz](std::int64_t first, std::int64_t last) {
        std::vector<Tally<T>> tallies;
        std::vector<Vote> rowVotes;
        for (std::int64_t r = first; r < last; ++r) {
            const std::int64_t y = r % ny, z = r / ny;
            rowVotes.clear();
            for (const Vote& vote : votes)
                if (y + vote.dy >= 0 && y + vote.dy < ny && z + vote.dz >= 0 && z + vote.dz < nz)
                    rowVotes.push_back(vote);
            const T* row = labels.data() + r * nx;
            for (std::int64_t x = 0; x < nx; ++x) {
                const T own = row[x];
                const auto labelAt = [&](const Vote& vote) { return row[x + vote.dx + nx * (vote.dy + ny * vote.dz)]; };
                const auto isInside = [&](const Vote& vote) { return x + vote.dx >= 0 && x + vote.dx < nx; };
                out.data()[r * nx + x] = own;
                if (std::all_of(rowVotes.begin(), rowVotes.end(),
                                [&](const Vote& vote) { return !isInside(vote) || labelAt(vote) == own; }))
                    continue;
                tallies.clear();
                for (const Vote& vote : rowVotes)
                    if (isInside(vote)) count(tallies, labelAt(vote), vote.weight);
                out.data()[r * nx + x] = winner(tallies, own);
            }
        }
    });
    return out;
}

template Volume<std::uint8_t> smoothLabels(const Volume<std::uint8_t>&, const LabelSmoothingOptions&);
template Volume<std::uint16_t> smoothLabels(const Volume<std::uint16_t>&, const LabelSmoothingOptions&);

}  // namespace medseg
