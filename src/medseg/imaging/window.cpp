#include "medseg/imaging/window.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <type_traits>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/threads.h"

namespace medseg {
namespace {

constexpr std::int64_t kBlock = 1 << 18;

std::int64_t blockCount(std::size_t size) {
    return (static_cast<std::int64_t>(size) + kBlock - 1) / kBlock;
}

// Calls body(block index, first, last) for blocks of fixed length, so that reductions do not depend on threads.
template <typename Body>
void forBlocks(std::size_t size, const Body& body) {
    parallelForEach(0, blockCount(size), [&](std::int64_t block) {
        body(block, block * kBlock, std::min<std::int64_t>(static_cast<std::int64_t>(size), (block + 1) * kBlock));
    });
}

template <typename T>
bool isFinite(T value) {
    if constexpr (std::is_floating_point_v<T>)
        return std::isfinite(value);
    else
        return true;
}

void requireSameSize(std::size_t in, std::size_t out) {
    if (in != out) throw DataError(fmt::format("{} values do not fit into an output of {}", in, out));
}

std::string canonicalName(std::string_view name) {
    std::string result;
    for (const char c : name)
        if (c != ' ' && c != '-' && c != '_') result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

// Applies `map` to every value; 8 and 16 bit integers go through a table of all their values.
template <typename T, typename Out, typename Map>
void mapValues(std::span<const T> values, std::span<Out> out, const Map& map) {
    requireSameSize(values.size(), out.size());
    if constexpr (std::is_integral_v<T> && sizeof(T) <= 2) {
        constexpr int low = std::numeric_limits<T>::min();
        constexpr int count = 1 << (8 * sizeof(T));
        if (values.size() > count) {
            std::vector<Out> table(count);
            for (int i = 0; i < count; ++i) table[i] = map(static_cast<T>(low + i));
            forBlocks(values.size(), [&](std::int64_t, std::int64_t first, std::int64_t last) {
                const T* in = values.data();
                const Out* entries = table.data() + count / 2 * (low < 0);
                Out* target = out.data();  // bytes may alias anything: without copies all pointers are read again
                for (std::int64_t i = first; i < last; ++i) target[i] = entries[static_cast<int>(in[i])];
            });
            return;
        }
    }
    forBlocks(values.size(), [&](std::int64_t, std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) out[i] = map(values[i]);
    });
}

// numpy's interpolation, monotonic in both directions: from the nearer end.
double interpolate(double a, double b, double t) {
    const double difference = b - a;
    return t >= 0.5 ? b - difference * (1 - t) : a + difference * t;
}

template <typename T>
std::vector<double> histogramPercentiles(std::span<const T> values, std::span<const double> percents,
                                         Selection selection) {
    constexpr int low = std::numeric_limits<T>::min();
    constexpr int count = 1 << (8 * sizeof(T));
    // A few large parts: each has its own histogram.
    const std::int64_t parts = std::clamp<std::int64_t>(blockCount(values.size()), 1, 16);
    std::vector<std::vector<std::int64_t>> histograms(parts);
    const std::int64_t total = static_cast<std::int64_t>(values.size());
    parallelForEach(0, parts, [&](std::int64_t part) {
        auto& histogram = histograms[part];
        histogram.assign(count, 0);
        for (std::int64_t i = total * part / parts; i < total * (part + 1) / parts; ++i)
            ++histogram[static_cast<int>(values[i]) - low];
    });
    auto& sum = histograms[0];
    for (std::int64_t part = 1; part < parts; ++part)
        for (int i = 0; i < count; ++i) sum[i] += histograms[part][i];
    const int begin = selection == Selection::Positive ? 1 - low : 0;
    const std::int64_t selected = std::accumulate(sum.begin() + begin, sum.end(), std::int64_t{0});
    const auto valueOfRank = [&](std::int64_t rank) {
        int bin = begin;
        for (std::int64_t seen = sum[bin]; seen <= rank; seen += sum[++bin]) {
        }
        return static_cast<double>(bin + low);
    };
    std::vector<double> result;
    for (const double percent : percents) {
        if (selected == 0) {
            result.push_back(0);
            continue;
        }
        const double position = percent / 100 * static_cast<double>(selected - 1);
        const auto rank = static_cast<std::int64_t>(std::floor(position));
        const std::int64_t next = std::min(rank + 1, selected - 1);
        result.push_back(interpolate(valueOfRank(rank), valueOfRank(next), position - static_cast<double>(rank)));
    }
    return result;
}

template <typename T>
std::vector<double> selectionPercentiles(std::span<const T> values, std::span<const double> percents,
                                         Selection selection) {
    std::vector<T> kept;
    kept.reserve(values.size());
    for (const T value : values)
        if (isFinite(value) && (selection == Selection::All || value > T{0})) kept.push_back(value);
    std::vector<double> result;
    for (const double percent : percents) {
        if (kept.empty()) {
            result.push_back(0);
            continue;
        }
        const double position = percent / 100 * static_cast<double>(kept.size() - 1);
        const auto rank = static_cast<std::size_t>(std::floor(position));
        std::nth_element(kept.begin(), kept.begin() + rank, kept.end());
        const auto a = static_cast<double>(kept[rank]);
        const double b =
            rank + 1 < kept.size() ? static_cast<double>(*std::min_element(kept.begin() + rank + 1, kept.end())) : a;
        result.push_back(interpolate(a, b, position - static_cast<double>(rank)));
    }
    return result;
}

}  // namespace

const std::vector<NamedWindow>& namedWindows() {
    static const std::vector<NamedWindow> windows = {
        {"soft-tissue", {40, 400}}, {"abdomen", {40, 400}}, {"lung", {-600, 1500}},
        {"bone", {400, 1800}},      {"brain", {40, 80}},    {"mediastinum", {50, 350}},
        {"liver", {60, 160}},       {"stroke", {40, 40}},   {"angiography", {300, 600}}};
    return windows;
}

std::optional<Window> findWindow(std::string_view name) {
    const std::string wanted = canonicalName(name);
    for (const auto& entry : namedWindows())
        if (canonicalName(entry.name) == wanted) return entry.window;
    return std::nullopt;
}

Window parseWindow(const std::string& text) {
    if (const auto known = findWindow(text)) return *known;
    const char* begin = text.c_str();
    char* end = nullptr;
    const double level = std::strtod(begin, &end);
    if (end != begin && *end == '/') {
        const char* widthText = end + 1;
        const double width = std::strtod(widthText, &end);
        if (end != widthText && *end == '\0' && std::isfinite(level) && std::isfinite(width) && width > 0)
            return {level, width};
    }
    std::string names;
    for (const auto& entry : namedWindows()) names += fmt::format("{}{}", names.empty() ? "" : ", ", entry.name);
    throw UsageError(fmt::format("unknown window '{}': use LEVEL/WIDTH such as 40/400, or one of {}", text, names));
}

template <typename T>
ValueRange finiteRange(std::span<const T> values) {
    struct Part {
        T low{};
        T high{};
        bool any = false;
    };
    std::vector<Part> parts(blockCount(values.size()));
    forBlocks(values.size(), [&](std::int64_t block, std::int64_t first, std::int64_t last) {
        Part part;
        if constexpr (std::is_integral_v<T>) {
            const T* in = values.data();
            T low = in[first], high = in[first];
            for (std::int64_t i = first; i < last; ++i) {
                low = in[i] < low ? in[i] : low;
                high = in[i] > high ? in[i] : high;
            }
            part = {low, high, true};
        } else {
            part = {std::numeric_limits<T>::max(), std::numeric_limits<T>::lowest(), false};
            for (std::int64_t i = first; i < last; ++i) {
                const bool finite = std::isfinite(values[i]);
                part.low = finite && values[i] < part.low ? values[i] : part.low;
                part.high = finite && values[i] > part.high ? values[i] : part.high;
                part.any |= finite;
            }
        }
        parts[block] = part;
    });
    ValueRange range;
    bool any = false;
    for (const auto& part : parts) {
        if (!part.any) continue;
        range.low = any ? std::min(range.low, static_cast<double>(part.low)) : static_cast<double>(part.low);
        range.high = any ? std::max(range.high, static_cast<double>(part.high)) : static_cast<double>(part.high);
        any = true;
    }
    return range;
}

template <typename T>
std::vector<double> percentiles(std::span<const T> values, std::span<const double> percents, Selection selection) {
    for (const double percent : percents)
        if (!(percent >= 0 && percent <= 100))
            throw UsageError(fmt::format("percentile {} is outside 0..100", percent));
    if constexpr (std::is_integral_v<T> && sizeof(T) <= 2)
        return histogramPercentiles(values, percents, selection);
    else
        return selectionPercentiles(values, percents, selection);
}

template <typename T>
MeanStd meanAndStd(std::span<const T> values) {
    struct Part {
        double sum = 0;
        double squares = 0;
        std::int64_t count = 0;
    };
    std::vector<Part> parts(blockCount(values.size()));
    const auto reduce = [&] {
        Part total;
        for (const auto& part : parts) {
            total.sum += part.sum;
            total.squares += part.squares;
            total.count += part.count;
        }
        return total;
    };
    forBlocks(values.size(), [&](std::int64_t block, std::int64_t first, std::int64_t last) {
        Part part;
        for (std::int64_t i = first; i < last; ++i) {
            if (!isFinite(values[i])) continue;
            part.sum += static_cast<double>(values[i]);
            ++part.count;
        }
        parts[block] = part;
    });
    Part total = reduce();
    if (total.count == 0) return {};
    const double mean = total.sum / static_cast<double>(total.count);
    forBlocks(values.size(), [&](std::int64_t block, std::int64_t first, std::int64_t last) {
        double squares = 0;
        for (std::int64_t i = first; i < last; ++i) {
            if (!isFinite(values[i])) continue;
            const double difference = static_cast<double>(values[i]) - mean;
            squares += difference * difference;
        }
        parts[block].squares = squares;
    });
    total = reduce();
    return {mean, std::sqrt(total.squares / static_cast<double>(total.count))};
}

template <typename T>
void scaleToUnit(std::span<const T> values, double low, double high, std::span<float> out) {
    const double extent = high - low;
    mapValues(values, out, [=](T value) -> float {
        const auto x = static_cast<double>(value);
        if (!(x > low)) return 0;
        if (x >= high) return 1;
        return static_cast<float>((x - low) / extent);
    });
}

template <typename T>
void scaleToBytes(std::span<const T> values, const ByteScale& scale, std::span<std::uint8_t> out) {
    const double extent = scale.scaleHigh - scale.scaleLow;
    const bool flat = !(extent > 0);
    mapValues(values, out, [=](T value) -> std::uint8_t {
        auto x = static_cast<double>(value);
        if (flat || std::isnan(x) || (scale.zeroStaysZero && x == 0)) return 0;
        x = std::min(std::max(x, scale.clipLow), scale.clipHigh);
        const double scaled = (x - scale.scaleLow) / extent * 255.0;
        const double rounded = scale.rounding == ByteRounding::HalfEven ? std::nearbyint(scaled) : std::trunc(scaled);
        return static_cast<std::uint8_t>(std::clamp(rounded, 0.0, 255.0));
    });
}

ByteScale windowScale(const Window& window, ByteRounding rounding) {
    return {window.low(), window.high(), window.low(), window.high(), rounding, false};
}

template <typename T>
ByteScale medsamCtScale(std::span<const T> values, const Window& window) {
    const ValueRange range = finiteRange(values);
    return {window.low(), window.high(), std::clamp(range.low, window.low(), window.high()),
            std::clamp(range.high, window.low(), window.high())};
}

template <typename T>
ByteScale medsamMrScale(std::span<const T> values, double lowPercent, double highPercent) {
    const std::array wanted{lowPercent, highPercent};
    const auto bounds = percentiles(values, std::span<const double>(wanted), Selection::Positive);
    const ValueRange range = finiteRange(values);
    ByteScale scale{bounds[0], bounds[1], std::clamp(range.low, bounds[0], bounds[1]),
                    std::clamp(range.high, bounds[0], bounds[1])};
    scale.zeroStaysZero = true;
    return scale;
}

template <typename T>
void zScore(std::span<const T> values, std::span<float> out, double epsilon) {
    const auto [mean, std] = meanAndStd(values);
    const double divisor = std::max(std, epsilon);
    mapValues(values, out,
              [=, m = mean](T value) { return static_cast<float>((static_cast<double>(value) - m) / divisor); });
}

template <typename T>
void normalizeCt(std::span<const T> values, const CtNormalization& parameters, std::span<float> out) {
    const double divisor = std::max(parameters.std, 1e-8);
    mapValues(values, out, [=](T value) {
        const double x = std::min(std::max(static_cast<double>(value), parameters.low), parameters.high);
        return static_cast<float>((x - parameters.mean) / divisor);
    });
}

#define MEDSEG_INSTANTIATE(T)                                                                            \
    template ValueRange finiteRange<T>(std::span<const T>);                                              \
    template std::vector<double> percentiles<T>(std::span<const T>, std::span<const double>, Selection); \
    template MeanStd meanAndStd<T>(std::span<const T>);                                                  \
    template void scaleToUnit<T>(std::span<const T>, double, double, std::span<float>);                  \
    template void scaleToBytes<T>(std::span<const T>, const ByteScale&, std::span<std::uint8_t>);        \
    template ByteScale medsamCtScale<T>(std::span<const T>, const Window&);                              \
    template ByteScale medsamMrScale<T>(std::span<const T>, double, double);                             \
    template void zScore<T>(std::span<const T>, std::span<float>, double);                               \
    template void normalizeCt<T>(std::span<const T>, const CtNormalization&, std::span<float>);
MEDSEG_INSTANTIATE(std::uint8_t)
MEDSEG_INSTANTIATE(std::int8_t)
MEDSEG_INSTANTIATE(std::uint16_t)
MEDSEG_INSTANTIATE(std::int16_t)
MEDSEG_INSTANTIATE(std::uint32_t)
MEDSEG_INSTANTIATE(std::int32_t)
MEDSEG_INSTANTIATE(float)
MEDSEG_INSTANTIATE(double)
#undef MEDSEG_INSTANTIATE

}  // namespace medseg
