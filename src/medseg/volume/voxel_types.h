// numpy's names of the voxel types.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "medseg/volume/volume.h"

namespace medseg {

/// In the order of AnyVolume's alternatives.
inline constexpr std::array<std::string_view, std::variant_size_v<AnyVolume>> kVoxelTypeNames{
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"};

/// The element type of AnyVolume's alternative number `Index`.
template <std::size_t Index>
using VoxelTypeAt =
    std::remove_cvref_t<decltype(*std::declval<const std::variant_alternative_t<Index, AnyVolume>&>().data())>;

/// function(T{}) for the voxel type T called `name`; nothing when there is no such type.
template <typename Function>
std::optional<AnyVolume> withVoxelType(std::string_view name, Function&& function) {
    std::optional<AnyVolume> result;
    [&]<std::size_t... Index>(std::index_sequence<Index...>) {
        (void)((name == kVoxelTypeNames[Index] ? (result.emplace(function(VoxelTypeAt<Index>{})), true) : false) ||
               ...);
    }
    (std::make_index_sequence<kVoxelTypeNames.size()>{});
    return result;
}

/// Bytes of a voxel; 0 for an unknown name.
constexpr std::size_t voxelTypeSize(std::string_view name) {
    constexpr std::array<std::size_t, kVoxelTypeNames.size()> kSizes{1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
    for (std::size_t i = 0; i < kVoxelTypeNames.size(); ++i)
        if (name == kVoxelTypeNames[i]) return kSizes[i];
    return 0;
}

}  // namespace medseg
