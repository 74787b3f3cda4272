#include "medseg/volume/label_map.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr int kMaxLabel = 65535;
constexpr std::int64_t kVoxelsPerTask = 1 << 20;

/// Largest value, or throws on the first value that cannot be a label.
template <typename T>
int largestLabel(const Volume<T>& volume, const std::string& source) {
    std::mutex mutex;
    int largest = 0;
    const T* voxels = volume.data();
    parallelFor(0, volume.voxelCount(), kVoxelsPerTask, [&](std::int64_t first, std::int64_t last) {
        int local = 0;
        for (std::int64_t i = first; i < last; ++i) {
            const T value = voxels[i];
            if (!(value >= T{0}) || static_cast<double>(value) > kMaxLabel ||
                static_cast<double>(value) != std::floor(static_cast<double>(value)))
                throw DataError(source, fmt::format("voxel value {} is not a label: labels are whole numbers from 0 to {}",
                                                    value, kMaxLabel));
            local = std::max(local, static_cast<int>(value));
        }
        const std::lock_guard lock(mutex);
        largest = std::max(largest, local);
    });
    return largest;
}

template <typename To, typename From>
Volume<To> convertVoxels(const Volume<From>& from) {
    Volume<To> to(from.geometry());
    const From* source = from.data();
    To* target = to.data();
    parallelFor(0, from.voxelCount(), kVoxelsPerTask, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) target[i] = static_cast<To>(source[i]);
    });
    return to;
}

double hueToChannel(double hue, double low, double high) {
    hue = hue - std::floor(hue);
    if (hue < 1.0 / 6) return low + (high - low) * 6 * hue;
    if (hue < 0.5) return high;
    if (hue < 2.0 / 3) return low + (high - low) * 6 * (2.0 / 3 - hue);
    return low;
}

}  // namespace

LabelTable LabelTable::fromNames(const std::vector<std::string>& names) {
    LabelTable table;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const int id = static_cast<int>(i) + 1;
        table.add({id, names[i], labelColor(id)});
    }
    return table;
}

void LabelTable::add(Label label) {
    if (label.id < 1 || label.id > kMaxLabel)
        throw DataError(fmt::format("label id {} of \"{}\" is outside 1..{}", label.id, label.name, kMaxLabel));
    if (findId(label.id) != nullptr) throw DataError(fmt::format("label id {} is listed twice", label.id));
    if (findName(label.name) != nullptr) throw DataError(fmt::format("label name \"{}\" is listed twice", label.name));
    const auto place = std::upper_bound(labels_.begin(), labels_.end(), label,
                                        [](const Label& a, const Label& b) { return a.id < b.id; });
    labels_.insert(place, std::move(label));
}

const Label* LabelTable::findId(int id) const {
    const auto found = std::lower_bound(labels_.begin(), labels_.end(), id, [](const Label& a, int b) { return a.id < b; });
    return found != labels_.end() && found->id == id ? &*found : nullptr;
}

const Label* LabelTable::findName(const std::string& name) const {
    const auto found = std::find_if(labels_.begin(), labels_.end(), [&](const Label& l) { return l.name == name; });
    return found != labels_.end() ? &*found : nullptr;
}

std::string LabelTable::nameOf(int id) const {
    const Label* label = findId(id);
    return label != nullptr ? label->name : fmt::format("label_{}", id);
}

Color LabelTable::colorOf(int id) const {
    const Label* label = findId(id);
    return label != nullptr ? label->color : labelColor(id);
}

Color labelColor(int id) {
    constexpr double kGoldenRatioConjugate = 0.6180339887498949;
    constexpr std::array<double, 3> kLightness{0.55, 0.70, 0.42};
    const double hue = kGoldenRatioConjugate * id;
    const double lightness = kLightness[static_cast<std::size_t>(id % 3)];
    const double chroma = 0.75 * std::min(lightness, 1 - lightness);
    const double low = lightness - chroma, high = lightness + chroma;
    Color color{};
    for (int channel = 0; channel < 3; ++channel)
        color[channel] = static_cast<std::uint8_t>(std::lround(255 * hueToChannel(hue + (1 - channel) / 3.0, low, high)));
    return color;
}

LabelMap LabelMap::fromAny(const AnyVolume& any, LabelTable table, const std::string& source) {
    return std::visit(
        [&](const auto& volume) {
            const int largest = largestLabel(volume, source);
            if (largest <= 255) return LabelMap(convertVoxels<std::uint8_t>(volume), std::move(table));
            return LabelMap(convertVoxels<std::uint16_t>(volume), std::move(table));
        },
        any);
}

std::vector<std::int64_t> LabelMap::countVoxels() const {
    return visit([](const auto& volume) {
        std::mutex mutex;
        std::vector<std::int64_t> total(1, 0);
        const auto* voxels = volume.data();
        parallelFor(0, volume.voxelCount(), kVoxelsPerTask, [&](std::int64_t first, std::int64_t last) {
            std::vector<std::int64_t> counts(kMaxLabel + 1, 0);
            for (std::int64_t i = first; i < last; ++i) ++counts[voxels[i]];
            const std::lock_guard lock(mutex);
            for (std::size_t id = 0; id < counts.size(); ++id)
                if (counts[id] > 0) {
                    if (total.size() <= id) total.resize(id + 1, 0);
                    total[id] += counts[id];
                }
        });
        return total;
    });
}

}  // namespace medseg
