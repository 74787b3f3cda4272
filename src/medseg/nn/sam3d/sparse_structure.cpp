#include "medseg/nn/sam3d/sparse_structure.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

/// A coordinate takes 16 bits of a key, shifted by one so that its neighbours have keys too.
constexpr std::int64_t kSide = 1 << 16;
constexpr std::int64_t kLargest = kSide / 2 - 3;
constexpr std::int64_t kTaps = 27, kCentreTap = 13;

torch::Tensor indexTensor(const std::vector<std::int64_t>& values) {
    return torch::tensor(values, torch::kLong);
}

std::int64_t keyStep(std::int64_t dx, std::int64_t dy, std::int64_t dz) {
    return (dx * kSide + dy) * kSide + dz;
}

/// Rows whose keys differ by `step`, ascending in `to`: sorted keys are walked once from two places.
void connect(const std::int64_t* sorted, const std::int64_t* row, std::int64_t count, std::int64_t step,
             std::vector<std::int64_t>& neighbour, std::vector<std::int64_t>& from, std::vector<std::int64_t>& to) {
    from.clear();
    to.clear();
    neighbour.assign(static_cast<std::size_t>(count), -1);
    std::int64_t other = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t wanted = sorted[i] + step;
        while (other < count && sorted[other] < wanted) ++other;
        if (other == count) break;
        if (sorted[other] == wanted) neighbour[static_cast<std::size_t>(row[i])] = row[other];
    }
    for (std::int64_t i = 0; i < count; ++i) {
        if (neighbour[static_cast<std::size_t>(i)] < 0) continue;
        from.push_back(neighbour[static_cast<std::size_t>(i)]);
        to.push_back(i);
    }
}

/// The numbers of equal rows of ids, ascending.
torch::Tensor numbered(const torch::Tensor& ids) {
    return std::get<1>(at::_unique2(ids, true, true, false));
}

}  // namespace

AttentionGroups AttentionGroups::of(const torch::Tensor& ids) {
    const torch::Tensor group = numbered(ids).contiguous();
    const auto* groupOf = group.data_ptr<std::int64_t>();
    const std::int64_t count = ids.size(0);
    std::vector<std::vector<std::int64_t>> members;
    for (std::int64_t i = 0; i < count; ++i) {
        if (groupOf[i] >= static_cast<std::int64_t>(members.size()))
            members.resize(static_cast<std::size_t>(groupOf[i]) + 1);
        members[static_cast<std::size_t>(groupOf[i])].push_back(i);
    }
    std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
    AttentionGroups groups;
    std::vector<std::int64_t> order, back(static_cast<std::size_t>(count));
    for (const auto& rows : members) {
        const auto size = static_cast<std::int64_t>(rows.size());
        if (groups.runs.empty() || groups.runs.back().size != size)
            groups.runs.push_back({static_cast<std::int64_t>(order.size()), 0, size});
        ++groups.runs.back().groups;
        for (const std::int64_t row : rows) {
            back[static_cast<std::size_t>(row)] = static_cast<std::int64_t>(order.size());
            order.push_back(row);
        }
    }
    groups.order = indexTensor(order);
    groups.back = indexTensor(back);
    return groups;
}

SparseStructure::SparseStructure(const torch::Tensor& coordinates) {
    if (coordinates.dim() != 2 || coordinates.size(1) != 4)
        throw UsageError("sparse coordinates need four columns: batch, x, y, z");
    coordinates_ = coordinates.to(torch::kCPU, torch::kLong).contiguous();
    if (size() == 0) return;
    if (coordinates_.min().item<std::int64_t>() < 0 || coordinates_.max().item<std::int64_t>() > kLargest)
        throw UsageError(fmt::format("sparse coordinates must lie within 0..{}", kLargest));
    const auto [items, inverse, counts] = torch::unique_consecutive(coordinates_.select(1, 0), false, true);
    std::int64_t first = 0;
    for (std::int64_t i = 0; i < items.size(0); ++i) {
        const auto index = items[i].item<std::int64_t>(), rows = counts[i].item<std::int64_t>();
        if (i > 0 && index <= itemIndices_.back())
            throw UsageError("the voxels of a batch item must stand together, items ascending");
        items_.emplace_back(first, rows);
        itemIndices_.push_back(index);
        first += rows;
    }
    if (std::get<0>(at::_unique2(keys())).size(0) != size()) throw UsageError("sparse coordinates name a voxel twice");
}

SparseStructurePointer SparseStructure::single(const torch::Tensor& coordinates) {
    return std::make_shared<SparseStructure>(torch::constant_pad_nd(coordinates, {1, 0}));
}

torch::Tensor SparseStructure::keys() const {
    const auto column = [&](std::int64_t i) { return coordinates_.select(1, i) + 1; };
    return ((column(0) * kSide + column(1)) * kSide + column(2)) * kSide + column(3);
}

const SparseTapsPointer& SparseStructure::neighbours() {
    if (neighbours_) return neighbours_;
    neighbours_ = c10::make_intrusive<SparseTaps>();
    neighbours_->outputRows = size();
    const auto [sortedKeys, rows] = keys().sort();
    const torch::Tensor sorted = sortedKeys.contiguous(), row = rows.contiguous();
    std::vector<std::int64_t> neighbour, from, to;
    for (std::int64_t tap = 0; tap < kTaps; ++tap) {
        if (tap == kCentreTap) {
            neighbours_->input.push_back(torch::arange(size(), torch::kLong));
            neighbours_->output.push_back(neighbours_->input.back());
            continue;
        }
        connect(sorted.data_ptr<std::int64_t>(), row.data_ptr<std::int64_t>(), size(),
                keyStep(tap / 9 - 1, tap / 3 % 3 - 1, tap % 3 - 1), neighbour, from, to);
        neighbours_->input.push_back(indexTensor(from));
        neighbours_->output.push_back(indexTensor(to));
    }
    return neighbours_;
}

const SparseTapsPointer& SparseStructure::childNeighbours() {
    if (childNeighbours_) return childNeighbours_;
    constexpr std::array<std::int64_t, 4> parity{0, 0, 1, 1}, voxel{0, 1, 1, 2};
    const SparseTapsPointer& taps = neighbours();
    childNeighbours_ = c10::make_intrusive<SparseTaps>();
    childNeighbours_->outputRows = 8 * size();
    for (std::size_t x = 0; x < 4; ++x)
        for (std::size_t y = 0; y < 4; ++y)
            for (std::size_t z = 0; z < 4; ++z) {
                const auto tap = static_cast<std::size_t>((voxel[x] * 3 + voxel[y]) * 3 + voxel[z]);
                const std::int64_t child = (parity[x] * 2 + parity[y]) * 2 + parity[z];
                childNeighbours_->input.push_back(taps->input[tap]);
                childNeighbours_->output.push_back(taps->output[tap] * 8 + child);
            }
    return childNeighbours_;
}

torch::Tensor SparseStructure::windowIds(std::int64_t size, std::int64_t shift) const {
    if (size < 1 || shift < 0) throw UsageError(fmt::format("window of {} voxels, shift {}", size, shift));
    const auto window = torch::div(positions() + shift, size, "floor");
    const auto id = ((coordinates_.select(1, 0) * kSide + window.select(1, 0)) * kSide + window.select(1, 1)) * kSide +
                    window.select(1, 2);
    return numbered(id);
}

const AttentionGroups& SparseStructure::windows(std::int64_t size, std::int64_t shift) {
    const auto [found, added] = windows_.try_emplace({size, shift});
    if (added) found->second = AttentionGroups::of(windowIds(size, shift));
    return found->second;
}

const AttentionGroups& SparseStructure::wholes() {
    if (!wholes_) wholes_ = std::make_unique<AttentionGroups>(AttentionGroups::of(coordinates_.select(1, 0)));
    return *wholes_;
}

const SparseStructurePointer& SparseStructure::subdivided() {
    if (subdivided_) return subdivided_;
    const auto bit = torch::arange(2, torch::kLong);
    const auto grid = torch::meshgrid({torch::zeros({1}, torch::kLong), bit, bit, bit}, "ij");
    const auto offsets = torch::stack({grid[0], grid[1], grid[2], grid[3]}, -1).reshape({1, 8, 4});
    const auto scale = torch::tensor({1, 2, 2, 2}, torch::kLong);
    subdivided_ =
        std::make_shared<SparseStructure>(((coordinates_ * scale).unsqueeze(1) + offsets).reshape({8 * size(), 4}));
    return subdivided_;
}

const SparseCells& SparseStructure::cells() {
    if (cells_) return *cells_;
    const auto scale = torch::tensor({1, 2, 2, 2}, torch::kLong);
    const auto [coarse, inverse, counts] =
        torch::unique_dim(torch::div(coordinates_, scale, "floor"), 0, true, true, true);
    cells_ = std::make_unique<SparseCells>();
    cells_->structure = std::make_shared<SparseStructure>(coarse);
    cells_->cellOf = inverse;
    cells_->counts = counts.to(torch::kFloat);
    return *cells_;
}

}  // namespace medseg
