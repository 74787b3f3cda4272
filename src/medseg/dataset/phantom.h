// Labelled synthetic CT of a torso: data to try the whole program on, and to test it with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "medseg/volume/label_map.h"
#include "medseg/volume/volume.h"

namespace medseg {

struct PhantomSettings {
    std::uint64_t seed = 1;
    Index3 size{160, 128, 96};            ///< voxels, 8..1024 along each axis
    Vec3 spacing{0, 0, 0};                ///< mm; 0: such that the image spans the trunk (400 x 320 x 384 mm)
    Vec3 bodyScale{1, 1, 1};              ///< size of every patient along x, y, z, 0.5..2: another population
    int cases = 8;                        ///< 1..10000
    double noise = 14;                    ///< standard deviation of the scanner's noise in soft tissue, HU
    std::vector<std::string> structures;  ///< TotalSegmentator names to label; empty: all that the phantom has
};

struct PhantomCase {
    std::string id;              ///< "s0000"
    Volume<std::int16_t> image;  ///< Hounsfield units, RAS, trunk centred, pubis to throat along +z
    LabelMap labels;             ///< ids 1.. in the order of phantomStructures(settings)
};

/// Throws UsageError on sizes, spacings or structure names that cannot be.
void checkPhantomSettings(const PhantomSettings& settings);

/// The structures that the settings ask for, in TotalSegmentator order. Throws UsageError (with the nearest known
/// name) for one that the phantom does not have.
std::vector<std::string> phantomStructures(const PhantomSettings& settings);

/// Draws case `index` (0-based). Patients differ in size, fat, position, organ shapes, contrast medium and noise. The
/// result depends on seed, index, size, spacing and body scale only, not on the number of threads. Throws UsageError on
/// sizes, spacings, scales or names that cannot be.
PhantomCase makePhantomCase(const PhantomSettings& settings, int index);

}  // namespace medseg
