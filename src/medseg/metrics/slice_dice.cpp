#include "medseg/metrics/slice_dice.h"

#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"

namespace medseg {
namespace {

struct Counts {
    std::int64_t reference = 0, prediction = 0, both = 0;
};

std::string cell(double value) {
    return std::isnan(value) ? "" : fmt::format("{:.6f}", value);
}

/// A name with commas or quotes as one cell.
std::string quoted(const std::string& name) {
    if (name.find_first_of(",\"\n") == std::string::npos) return name;
    std::string text = "\"";
    for (const char c : name) text += c == '"' ? std::string("\"\"") : std::string(1, c);
    return text + "\"";
}

}  // namespace

std::vector<SliceDice> sliceDice(const LabelMap& reference, const LabelMap& prediction,
                                 const std::vector<int>& labels) {
    const Index3 size = reference.geometry().size();
    if (prediction.geometry().size() != size)
        throw DataError(fmt::format("reference has {} voxels, prediction {}", formatSize(size),
                                    formatSize(prediction.geometry().size())));
    std::map<std::pair<int, std::int64_t>, Counts> counts;
    reference.visit([&](const auto& truth) {
        prediction.visit([&](const auto& guess) {
            for (std::int64_t z = 0; z < size[2]; ++z) {
                const auto a = truth.slice(z);
                const auto b = guess.slice(z);
                for (std::int64_t i = 0; i < size[0] * size[1]; ++i) {
                    const int wanted = a.data[i], found = b.data[i];
                    if (wanted != 0) ++counts[{wanted, z}].reference;
                    if (found != 0) ++counts[{found, z}].prediction;
                    if (wanted != 0 && wanted == found) ++counts[{wanted, z}].both;
                }
            }
        });
    });
    std::vector<SliceDice> rows;
    for (const int label : labels)
        for (auto it = counts.lower_bound({label, 0}); it != counts.end() && it->first.first == label; ++it) {
            const Counts& c = it->second;
            const double dice = 2.0 * static_cast<double>(c.both) / static_cast<double>(c.reference + c.prediction);
            rows.push_back({label, it->first.second, c.reference, c.prediction, dice});
        }
    return rows;
}

double meanSliceDice(const std::vector<SliceDice>& rows, int label) {
    double sum = 0;
    std::int64_t count = 0;
    for (const SliceDice& row : rows) {
        if (row.label != label) continue;
        sum += row.dice;
        ++count;
    }
    return count > 0 ? sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
}

void writeSliceDice(const std::filesystem::path& folder, const std::vector<CaseSliceDice>& cases,
                    const LabelTable& labels) {
    createDirectories(folder);
    std::string rows = "case,label,slice,reference_pixels,prediction_pixels,dice\n";
    std::string means = "case";
    for (const Label& label : labels.labels()) means.append(",").append(quoted(label.name));
    means += "\n";
    std::map<int, std::pair<double, int>> overall;
    for (const CaseSliceDice& item : cases) {
        for (const SliceDice& row : item.rows)
            rows += fmt::format("{},{},{},{},{},{:.6f}\n", quoted(item.name), quoted(labels.nameOf(row.label)),
                                row.slice, row.reference, row.prediction, row.dice);
        means += quoted(item.name);
        for (const Label& label : labels.labels()) {
            const double mean = meanSliceDice(item.rows, label.id);
            means.append(",").append(cell(mean));
            if (std::isnan(mean)) continue;
            overall[label.id].first += mean;
            ++overall[label.id].second;
        }
        means += "\n";
    }
    means += "mean";
    for (const Label& label : labels.labels()) {
        const auto found = overall.find(label.id);
        means.append(",").append(found == overall.end() ? "" : cell(found->second.first / found->second.second));
    }
    writeTextFile(folder / "per_slice.csv", rows);
    writeTextFile(folder / "per_slice_means.csv", means + "\n");
}

}  // namespace medseg
