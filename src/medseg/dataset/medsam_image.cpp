#include "medseg/dataset/medsam_image.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <type_traits>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

template <typename T>
constexpr bool kWide = std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::uint64_t>;

/// Values of one slice as numbers that the byte scale is meant for: as stored, or doubles.
template <typename T, typename Function>
void withSliceValues(const Volume<T>& volume, const ImageHeader& header, std::int64_t z, const Function& function) {
    const auto pixels = static_cast<std::size_t>(volume.nx() * volume.ny());
    const T* stored = volume.data() + z * volume.nx() * volume.ny();
    if constexpr (!kWide<T>) {
        if (!header.hasScaling) return function(std::span<const T>(stored, pixels));
    }
    std::vector<double> values(pixels);
    std::transform(stored, stored + pixels, values.begin(),
                   [&](T value) { return static_cast<double>(value) * header.slope + header.inter; });
    function(std::span<const double>(values));
}

/// Range of the finite values after slope and inter.
ValueRange rangeOf(const StoredImage& image) {
    return std::visit(
        [&](const auto& volume) {
            std::mutex mutex;
            ValueRange range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
            parallelFor(0, volume.nz(), 8, [&](std::int64_t first, std::int64_t last) {
                for (std::int64_t z = first; z < last; ++z)
                    withSliceValues(volume, image.header, z, [&](auto values) {
                        const ValueRange part = finiteRange(values);
                        const std::lock_guard lock(mutex);
                        range = {std::min(range.low, part.low), std::max(range.high, part.high)};
                    });
            });
            return range;
        },
        image.voxels);
}

ByteScale scaleOfCt(const StoredImage& image, const Window& window) {
    const ValueRange range = rangeOf(image);
    const std::array<double, 2> ends{range.low, range.high};
    return medsamCtScale(std::span<const double>(ends), window);
}

ByteScale scaleOfOther(const StoredImage& image, const std::array<double, 2>& percents) {
    return std::visit(
        [&](const auto& volume) {
            using T = std::remove_cvref_t<decltype(volume.data()[0])>;
            if constexpr (!kWide<T>) {
                if (!image.header.hasScaling) return medsamMrScale(volume.voxels(), percents[0], percents[1]);
            }
            std::vector<double> values(volume.voxels().begin(), volume.voxels().end());
            for (double& value : values) value = value * image.header.slope + image.header.inter;
            return medsamMrScale(std::span<const double>(values), percents[0], percents[1]);
        },
        image.voxels);
}

/// Bytes of out.size() / (nx * ny) slices from z on.
template <typename T>
void blockToBytes(const Volume<T>& volume, const ImageHeader& header, std::int64_t z, const ByteScale& scale,
                  std::span<std::uint8_t> out) {
    const auto pixels = static_cast<std::size_t>(volume.nx() * volume.ny());
    if constexpr (!kWide<T>) {
        if (!header.hasScaling)
            return scaleToBytes(volume.voxels().subspan(static_cast<std::size_t>(z) * pixels, out.size()), scale, out);
    }
    parallelFor(0, static_cast<std::int64_t>(out.size() / pixels), 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i)
            withSliceValues(volume, header, z + i, [&](auto values) {
                scaleToBytes(values, scale, out.subspan(static_cast<std::size_t>(i) * pixels, pixels));
            });
    });
}

}  // namespace

Modality modalityFromName(const std::string& name) {
    return name.size() == 2 && endsWithIgnoringCase(name, "CT") ? Modality::Ct : Modality::Other;
}

MedsamImage::MedsamImage(StoredImage image, const MedsamImageRules& rules) : image_(std::move(image)) {
    scale_ = rules.modality == Modality::Ct ? scaleOfCt(image_, rules.window) : scaleOfOther(image_, rules.percents);
}

void MedsamImage::slicesToBytes(const std::vector<std::int64_t>& slices, std::span<std::uint8_t> out) const {
    const std::int64_t pixels = geometry().nx() * geometry().ny();
    // Neighbouring slices together: short integers go through a table, which is made once a call.
    for (std::size_t first = 0, last = 0; first < slices.size(); first = last) {
        for (last = first + 1; last < slices.size() && slices[last] == slices[last - 1] + 1;) ++last;
        const auto target =
            out.subspan(first * static_cast<std::size_t>(pixels), (last - first) * static_cast<std::size_t>(pixels));
        std::visit([&](const auto& volume) { blockToBytes(volume, image_.header, slices[first], scale_, target); },
                   image_.voxels);
    }
}

}  // namespace medseg
