#include "medseg/metrics/distance_groups.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace medseg {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Sum in the order in which numpy adds a long array (halves, then eight running sums), so that a percentile that falls
/// on the boundary between two elements falls on the same side as there.
double pairwiseSum(const double* values, std::size_t count) {
    if (count < 8) {
        double sum = 0;
        for (std::size_t i = 0; i < count; ++i) sum += values[i];
        return sum;
    }
    if (count <= 128) {
        double lanes[8];
        std::copy_n(values, 8, lanes);
        const std::size_t whole = count - count % 8;
        for (std::size_t i = 8; i < whole; i += 8)
            for (std::size_t lane = 0; lane < 8; ++lane) lanes[lane] += values[i + lane];
        double sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
        for (std::size_t i = whole; i < count; ++i) sum += values[i];
        return sum;
    }
    std::size_t half = count / 2;
    half -= half % 8;
    return pairwiseSum(values, half) + pairwiseSum(values + half, count - half);
}

double sumOfWeights(const std::vector<DistanceGroup>& groups, std::int64_t count) {
    std::vector<double> weights;
    weights.reserve(count);
    for (const DistanceGroup& group : groups) weights.insert(weights.end(), group.count, group.weight);
    return pairwiseSum(weights.data(), weights.size());
}

bool ascending(const DistanceGroup& a, const DistanceGroup& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.weight < b.weight;
}

DirectedDistances together(const DirectedDistances& a, const DirectedDistances& b) {
    std::vector<DistanceGroup> groups;
    std::merge(a.groups().begin(), a.groups().end(), b.groups().begin(), b.groups().end(), std::back_inserter(groups),
               ascending);
    return DirectedDistances(std::move(groups));
}

}  // namespace

DistanceCounter::DistanceCounter(std::vector<double> classWeights)
    : classWeights_(std::move(classWeights)), slots_(1024) {}

DistanceCounter::Slot& DistanceCounter::slotFor(double squaredDistance, int weightClass) {
    std::uint64_t hash = std::bit_cast<std::uint64_t>(squaredDistance) + static_cast<std::uint64_t>(weightClass);
    hash *= 0x9e3779b97f4a7c15ULL;
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash >> 32 & mask;; i = (i + 1) & mask) {
        Slot& slot = slots_[i];
        if (slot.weightClass < 0 || (slot.weightClass == weightClass && slot.square == squaredDistance)) return slot;
    }
}

void DistanceCounter::grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old)
        if (slot.weightClass >= 0) slotFor(slot.square, slot.weightClass) = slot;
}

void DistanceCounter::add(double squaredDistance, int weightClass) {
    Slot& slot = slotFor(squaredDistance, weightClass);
    ++slot.count;
    if (slot.weightClass >= 0) return;
    slot.square = squaredDistance;
    slot.weightClass = weightClass;
    if (++used_ * 2 > slots_.size()) grow();
}

std::vector<DistanceGroup> DistanceCounter::groups() const {
    std::vector<DistanceGroup> groups;
    for (const Slot& slot : slots_)
        if (slot.weightClass >= 0)
            groups.push_back({std::sqrt(slot.square), classWeights_[slot.weightClass], slot.count});
    std::sort(groups.begin(), groups.end(), ascending);
    return groups;
}

DirectedDistances::DirectedDistances(std::vector<DistanceGroup> ascendingGroups) : groups_(std::move(ascendingGroups)) {
    for (const DistanceGroup& group : groups_) count_ += group.count;
    totalWeight_ = sumOfWeights(groups_, count_);
}

double DirectedDistances::weightedSum() const {
    double sum = 0;
    for (const DistanceGroup& group : groups_) sum += group.distance * group.weight * static_cast<double>(group.count);
    return sum;
}

double DirectedDistances::weightedSquareSum() const {
    double sum = 0;
    for (const DistanceGroup& group : groups_)
        sum += group.distance * group.distance * group.weight * static_cast<double>(group.count);
    return sum;
}

double DirectedDistances::weightWithin(double tolerance) const {
    double sum = 0;
    bool all = true;
    for (const DistanceGroup& group : groups_) {
        if (group.distance <= tolerance)
            sum += group.weight * static_cast<double>(group.count);
        else
            all = false;
    }
    return all ? totalWeight_ : std::min(sum, totalWeight_);
}

double DirectedDistances::mean() const {
    return empty() ? kNaN : weightedSum() / totalWeight_;
}

double DirectedDistances::largest() const {
    return empty() ? kNaN : groups_.back().distance;
}

double DirectedDistances::weightedPercentile(double percent) const {
    if (empty()) return kInfinity;
    const double wanted = percent / 100;
    double cumulated = 0;
    for (const DistanceGroup& group : groups_) {
        for (std::int64_t i = 0; i < group.count; ++i) cumulated += group.weight;
        if (cumulated / totalWeight_ >= wanted) return group.distance;
    }
    return groups_.back().distance;
}

double DirectedDistances::interpolatedPercentile(double percent) const {
    if (empty()) return kNaN;
    const double position = percent / 100 * static_cast<double>(count_ - 1);
    const auto below = static_cast<std::int64_t>(position);
    const auto valueAt = [&](std::int64_t index) {
        std::int64_t end = 0;
        for (const DistanceGroup& group : groups_) {
            end += group.count;
            if (index < end) return group.distance;
        }
        return groups_.back().distance;
    };
    const double low = valueAt(below);
    if (below + 1 >= count_) return low;
    return low + (valueAt(below + 1) - low) * (position - static_cast<double>(below));
}

double SurfaceDistances::hausdorff(double percent) const {
    if (definition == SurfaceDefinition::DeepMind)
        return std::max(fromReference.weightedPercentile(percent), fromPrediction.weightedPercentile(percent));
    if (bothEmpty()) return kNaN;
    if (fromReference.empty() || fromPrediction.empty())
        return definition == SurfaceDefinition::Monai && percent < 100 ? kNaN : kInfinity;
    if (definition == SurfaceDefinition::Medpy)
        return together(fromReference, fromPrediction).interpolatedPercentile(percent);
    return std::max(fromReference.interpolatedPercentile(percent), fromPrediction.interpolatedPercentile(percent));
}

double SurfaceDistances::averageFromReference() const {
    const bool isUndefined = definition == SurfaceDefinition::DeepMind || bothEmpty();
    return fromReference.empty() && !isUndefined ? kInfinity : fromReference.mean();
}

double SurfaceDistances::averageFromPrediction() const {
    const bool isUndefined = definition == SurfaceDefinition::DeepMind || bothEmpty();
    return fromPrediction.empty() && !isUndefined ? kInfinity : fromPrediction.mean();
}

double SurfaceDistances::averageSymmetric() const {
    if (bothEmpty()) return kNaN;
    return (fromReference.weightedSum() + fromPrediction.weightedSum()) /
           (fromReference.totalWeight() + fromPrediction.totalWeight());
}

double SurfaceDistances::meanOfAverages() const {
    return 0.5 * (averageFromReference() + averageFromPrediction());
}

double SurfaceDistances::surfaceDice(double tolerance) const {
    if (bothEmpty()) return kNaN;
    return (fromReference.weightWithin(tolerance) + fromPrediction.weightWithin(tolerance)) /
           (fromReference.totalWeight() + fromPrediction.totalWeight());
}

double SurfaceDistances::overlapOfReference(double tolerance) const {
    return fromReference.empty() ? kNaN : fromReference.weightWithin(tolerance) / fromReference.totalWeight();
}

double SurfaceDistances::overlapOfPrediction(double tolerance) const {
    return fromPrediction.empty() ? kNaN : fromPrediction.weightWithin(tolerance) / fromPrediction.totalWeight();
}

double SurfaceDistances::chamfer() const {
    if (bothEmpty()) return kNaN;
    if (fromReference.empty() || fromPrediction.empty()) return kInfinity;
    return fromReference.weightedSquareSum() / fromReference.totalWeight() +
           fromPrediction.weightedSquareSum() / fromPrediction.totalWeight();
}

}  // namespace medseg
