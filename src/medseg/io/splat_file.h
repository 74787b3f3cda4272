// Gaussian splats as PLY files in the layout that viewers read (Kerbl et al. 2023, "3D Gaussian splatting").
#pragma once

#include <array>
#include <filesystem>
#include <span>

namespace medseg {

struct Splat {
    std::array<float, 3> centre{};              ///< RAS+ mm
    std::array<float, 3> color{};               ///< coefficients of the constant spherical harmonic
    float opacity = 0;                          ///< 0..1
    std::array<float, 3> scale{1, 1, 1};        ///< standard deviations, mm
    std::array<float, 4> rotation{1, 0, 0, 0};  ///< unit quaternion, real part first
};

/// Binary little-endian PLY: x y z, nx ny nz (0), f_dc_0..2, opacity (logit), scale_0..2 (logarithms), rot_0..3.
/// Atomic. Throws UsageError unless the name ends in .ply, WorkError when writing fails.
void writeSplats(const std::filesystem::path& path, std::span<const Splat> splats);

}  // namespace medseg
