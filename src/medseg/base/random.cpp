#include "medseg/base/random.h"

#include <bit>
#include <cmath>

namespace medseg {
namespace {

std::uint64_t splitMix(std::uint64_t& value) {
    std::uint64_t z = (value += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

}  // namespace

Random::Random(std::uint64_t seed, std::uint64_t stream) {
    std::uint64_t value = seed;
    value = splitMix(value) ^ (stream * 0xd1342543de82ef95ULL + 1);
    for (auto& word : state_) word = splitMix(value);
}

std::uint64_t Random::next() {
    const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
}

double Random::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

std::uint64_t Random::index(std::uint64_t count) {
    // Rejection keeps every index equally likely.
    const std::uint64_t limit = count * (UINT64_MAX / count);
    std::uint64_t value = next();
    while (value >= limit) value = next();
    return value % count;
}

double Random::normal() {
    if (hasSpare_) {
        hasSpare_ = false;
        return spare_;
    }
    double u = 0, v = 0, s = 0;
    do {
        u = uniform(-1, 1);
        v = uniform(-1, 1);
        s = u * u + v * v;
    } while (s >= 1 || s == 0);
    const double scale = std::sqrt(-2 * std::log(s) / s);
    spare_ = v * scale;
    hasSpare_ = true;
    return u * scale;
}

void Random::setState(const State& state) {
    state_ = state;
    hasSpare_ = false;
}

}  // namespace medseg
