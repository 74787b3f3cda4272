#include "medseg/volume/orientation.h"

#include <cctype>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr std::string_view kPositive = "RAS", kNegative = "LPI";

/// World axis of a direction letter, or -1.
int worldAxis(char letter) {
    for (std::size_t axis = 0; axis < 3; ++axis)
        if (letter == kPositive[axis] || letter == kNegative[axis]) return static_cast<int>(axis);
    return -1;
}

template <typename T>
Volume<T> turnedVolume(const Volume<T>& volume, const AxisTurn& turn) {
    Volume<T> result(turned(volume.geometry(), turn));
    const std::array<std::int64_t, 3> strides{1, volume.nx(), volume.nx() * volume.ny()};
    std::array<std::int64_t, 3> step{};
    std::int64_t start = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const auto source = static_cast<std::size_t>(turn.source[axis]);
        step[axis] = turn.flip[axis] ? -strides[source] : strides[source];
        if (turn.flip[axis]) start += strides[source] * (volume.size()[source] - 1);
    }
    const std::int64_t nx = result.nx(), ny = result.ny();
    parallelForEach(0, result.nz(), [&](std::int64_t z) {
        T* target = result.slice(z).data;
        for (std::int64_t y = 0; y < ny; ++y) {
            const T* source = volume.data() + start + z * step[2] + y * step[1];
            for (std::int64_t x = 0; x < nx; ++x) *target++ = source[x * step[0]];
        }
    });
    return result;
}

}  // namespace

AxisTurn turnTowards(const Geometry& geometry, const std::string& codes) {
    const std::string now = geometry.orientation();
    const auto wrong = [&] {
        return UsageError(fmt::format(
            "orientation \"{}\" is not known: give one letter each of R/L, A/P and S/I, e.g. RAS or LPS", codes));
    };
    if (codes.size() != 3) throw wrong();
    AxisTurn turn;
    std::array<bool, 3> used{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const char letter = static_cast<char>(std::toupper(static_cast<unsigned char>(codes[axis])));
        const int world = worldAxis(letter);
        if (world < 0 || used[static_cast<std::size_t>(world)]) throw wrong();
        used[static_cast<std::size_t>(world)] = true;
        for (std::size_t source = 0; source < 3; ++source)
            if (worldAxis(now[source]) == world) {
                turn.source[axis] = static_cast<int>(source);
                turn.flip[axis] = now[source] != letter;
            }
    }
    return turn;
}

Geometry turned(const Geometry& geometry, const AxisTurn& turn) {
    Index3 size{};
    Affine affine = geometry.affine();
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const auto source = static_cast<std::size_t>(turn.source[axis]);
        size[axis] = geometry.size()[source];
        for (std::size_t row = 0; row < 3; ++row) {
            const double column = geometry.affine()[row][source];
            affine[row][axis] = turn.flip[axis] ? -column : column;
            if (turn.flip[axis]) affine[row][3] += column * static_cast<double>(size[axis] - 1);
        }
    }
    return {size, affine};
}

std::optional<AxisTurn> turnOnto(const Geometry& geometry, const Geometry& grid) {
    const AxisTurn turn = turnTowards(geometry, grid.orientation());
    return turned(geometry, turn).matches(grid) ? std::optional(turn) : std::nullopt;
}

AnyVolume turned(const AnyVolume& volume, const AxisTurn& turn) {
    return std::visit([&](const auto& v) -> AnyVolume { return turnedVolume(v, turn); }, volume);
}

}  // namespace medseg
