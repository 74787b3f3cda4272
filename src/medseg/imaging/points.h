// Distances between point sets.
#pragma once

#include <span>
#include <vector>

#include "medseg/volume/geometry.h"

namespace medseg {

/// Distance of every point of `from` to its nearest point of `to`, in the unit of the points. Exact (k-d tree search).
/// Throws DataError if a set is empty or a coordinate is not finite.
std::vector<double> nearestDistances(std::span<const Vec3> from, std::span<const Vec3> to);

struct PointSetDistance {
    std::vector<double> aToB;  ///< nearest distance of every point of a
    std::vector<double> bToA;
};
PointSetDistance pointSetDistance(std::span<const Vec3> a, std::span<const Vec3> b);

/// The definitions of the Chamfer distance in use.
enum class Chamfer {
    SumOfMeanSquares,  ///< mean of squared distances a to b plus b to a: pytorch3d
    SumOfMeans,        ///< sum of the two mean distances
    HalfSumOfMeans,    ///< half of it
    MeanAToB           ///< one direction only
};
double chamferDistance(const PointSetDistance& distances, Chamfer definition);
/// Largest of all nearest distances.
double hausdorffDistance(const PointSetDistance& distances);

struct PointFScore {
    double precision = 0;  ///< share of a nearer than the threshold to b
    double recall = 0;     ///< share of b nearer than the threshold to a
    double fScore = 0;     ///< harmonic mean; 0 when both are 0
};
/// Strictly nearer than `threshold`.
PointFScore pointFScore(const PointSetDistance& distances, double threshold);

}  // namespace medseg
