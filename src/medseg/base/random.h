// A small, fast random generator whose streams are the same on every platform and compiler
// (the distributions of <random> are not). xoshiro256++ seeded by splitmix64 (Blackman and Vigna 2019).
#pragma once

#include <array>
#include <cstdint>
#include <utility>

namespace medseg {

class Random {
  public:
    /// Streams with different (seed, stream) are independent: give every case or sample a stream of its own.
    explicit Random(std::uint64_t seed, std::uint64_t stream = 0);

    std::uint64_t next();
    /// Uniform in [0, 1).
    double uniform();
    double uniform(double low, double high) { return low + (high - low) * uniform(); }
    /// Uniform integer in [0, count); count > 0.
    std::uint64_t index(std::uint64_t count);
    /// Standard normal (polar method).
    double normal();

    /// Fisher-Yates.
    template <typename Range>
    void shuffle(Range& items) {
        for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[index(i)]);
    }

    using State = std::array<std::uint64_t, 4>;
    /// For checkpoints: restores the generator exactly (a cached normal value is dropped).
    State state() const { return state_; }
    void setState(const State& state);

  private:
    State state_{};
    double spare_ = 0;
    bool hasSpare_ = false;
};

}  // namespace medseg
