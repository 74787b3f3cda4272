#include "medseg/dataset/prompts.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <sstream>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/dataset/image_inputs.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

constexpr int kLargestLabel = 65535;

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::string part;
    std::istringstream stream(text);
    while (std::getline(stream, part, separator)) parts.push_back(part);
    if (text.ends_with(separator)) parts.emplace_back();
    return parts;
}

std::string trimmed(const std::string& text) {
    const auto first = text.find_first_not_of(" \t\r\"");
    if (first == std::string::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\"") - first + 1);
}

std::optional<double> toNumber(const std::string& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
    return value;
}

int labelFrom(double value, const std::string& source) {
    if (value != std::floor(value) || value < 1 || value > kLargestLabel)
        throw UsageError(fmt::format("{}: labels are whole numbers from 1 to {}", source, kLargestLabel));
    return static_cast<int>(value);
}

struct LabelledNumbers {
    int label = 1;
    std::vector<double> numbers;
};

/// "3:1,2,4.5"
LabelledNumbers parseNumbers(const std::string& option, const std::string& text) {
    const std::string source = fmt::format("{} {}", option, text);
    LabelledNumbers result;
    std::string list = text;
    if (const auto colon = text.find(':'); colon != std::string::npos) {
        const auto label = toNumber(text.substr(0, colon));
        if (!label) throw UsageError(fmt::format("{}: \"{}\" is no label", source, text.substr(0, colon)));
        result.label = labelFrom(*label, source);
        list = text.substr(colon + 1);
    }
    for (const std::string& part : split(list, ',')) {
        const auto number = toNumber(trimmed(part));
        if (!number) throw UsageError(fmt::format("{}: \"{}\" is not a number", source, part));
        result.numbers.push_back(*number);
    }
    return result;
}

/// Collects prompts on one image and checks that they lie in it.
class Collector {
  public:
    Collector(const Geometry& geometry, std::string image) : geometry_(geometry), image_(std::move(image)) {}

    void addBox(int label, std::array<double, 4> box, double slice, const std::string& source) {
        if (box[0] > box[2]) std::swap(box[0], box[2]);
        if (box[1] > box[3]) std::swap(box[1], box[3]);
        requireInside(box[0], box[1], source);
        requireInside(box[2], box[3], source);
        boxes_.push_back({label, sliceIndex(slice, source), box, {}});
    }

    void addPoint(int label, PromptPoint point, double slice, const std::string& source) {
        requireInside(point.x, point.y, source);
        const std::int64_t index = sliceIndex(slice, source);
        for (Prompt& known : pointGroups_)
            if (known.label == label && known.slice == index) return known.points.push_back(point);
        pointGroups_.push_back({label, index, std::nullopt, {point}});
    }

    void add(std::vector<Prompt> prompts) {
        for (Prompt& prompt : prompts) boxes_.push_back(std::move(prompt));
    }

    std::vector<Prompt> finish() {
        for (Prompt& group : pointGroups_) {
            Prompt* box = nullptr;
            int candidates = 0;
            for (Prompt& prompt : boxes_)
                if (prompt.label == group.label && prompt.slice == group.slice) {
                    box = &prompt;
                    ++candidates;
                }
            if (candidates == 1 && box->points.empty())
                box->points = std::move(group.points);
            else
                boxes_.push_back(std::move(group));
        }
        std::stable_sort(boxes_.begin(), boxes_.end(),
                         [](const Prompt& a, const Prompt& b) { return a.slice < b.slice; });
        return std::move(boxes_);
    }

    const Geometry& geometry() const { return geometry_; }

  private:
    void requireInside(double x, double y, const std::string& source) const {
        // Half a pixel around the centres, and one more for boxes whose end is meant to be exclusive.
        if (x < -0.5 || y < -0.5 || x > static_cast<double>(geometry_.nx()) || y > static_cast<double>(geometry_.ny()))
            throw UsageError(fmt::format("{}: ({:g}, {:g}) lies outside {} of {} pixels", source, x, y, image_,
                                         formatSize(geometry_.size())));
    }

    std::int64_t sliceIndex(double slice, const std::string& source) const {
        const double rounded = std::round(slice);
        if (!(rounded >= 0 && rounded < static_cast<double>(geometry_.nz())))
            throw UsageError(fmt::format("{}: slice {:g} lies outside {} of {} slices (0..{})", source, slice, image_,
                                         geometry_.nz(), geometry_.nz() - 1));
        return static_cast<std::int64_t>(rounded);
    }

    const Geometry& geometry_;
    std::string image_;
    std::vector<Prompt> boxes_;
    std::vector<Prompt> pointGroups_;
};

void addWorldBox(Collector& collector, const LabelledNumbers& box, const std::string& source) {
    const auto& n = box.numbers;
    Vec3 low{1e300, 1e300, 1e300}, high{-1e300, -1e300, -1e300};
    for (int corner = 0; corner < 8; ++corner) {
        const Vec3 world{n[corner & 1 ? 3 : 0], n[corner & 2 ? 4 : 1], n[corner & 4 ? 5 : 2]};
        const Vec3 voxel = collector.geometry().worldToVoxel(world);
        for (std::size_t axis = 0; axis < 3; ++axis) {
            low[axis] = std::min(low[axis], voxel[axis]);
            high[axis] = std::max(high[axis], voxel[axis]);
        }
    }
    for (double z = std::round(low[2]); z <= std::round(high[2]); ++z)
        collector.addBox(box.label, {low[0], low[1], high[0], high[1]}, z, source);
}

void addBoxText(Collector& collector, const std::string& text, bool world) {
    const std::string source = "--box " + text;
    const LabelledNumbers box = parseNumbers("--box", text);
    const auto& n = box.numbers;
    if (world) {
        if (n.size() != 6)
            throw UsageError(fmt::format("{}: in millimetres a box has six numbers: x0,y0,z0,x1,y1,z1", source));
        return addWorldBox(collector, box, source);
    }
    if (n.size() == 4) {
        if (collector.geometry().nz() > 1)
            throw UsageError(
                fmt::format("{}: a volume needs the slice too: x0,y0,x1,y1,z or x0,y0,z0,x1,y1,z1", source));
        return collector.addBox(box.label, {n[0], n[1], n[2], n[3]}, 0, source);
    }
    if (n.size() == 5) return collector.addBox(box.label, {n[0], n[1], n[2], n[3]}, n[4], source);
    if (n.size() != 6) throw UsageError(fmt::format("{}: a box has 4, 5 or 6 numbers, not {}", source, n.size()));
    const double from = std::round(std::min(n[2], n[5])), to = std::round(std::max(n[2], n[5]));
    if (to - from >= static_cast<double>(collector.geometry().nz()))
        throw UsageError(fmt::format("{}: more slices than the image has", source));
    for (double z = from; z <= to; ++z) collector.addBox(box.label, {n[0], n[1], n[3], n[4]}, z, source);
}

void addPointText(Collector& collector, const std::string& text, bool inside, bool world) {
    const std::string option = inside ? "--point" : "--exclude";
    const std::string source = option + " " + text;
    const LabelledNumbers point = parseNumbers(option, text);
    const auto& n = point.numbers;
    if (n.size() == 3 && world) {
        const Vec3 voxel = collector.geometry().worldToVoxel({n[0], n[1], n[2]});
        return collector.addPoint(point.label, {voxel[0], voxel[1], inside}, voxel[2], source);
    }
    if (world) throw UsageError(fmt::format("{}: in millimetres a point has three numbers", source));
    if (n.size() == 2 && collector.geometry().nz() == 1)
        return collector.addPoint(point.label, {n[0], n[1], inside}, 0, source);
    if (n.size() != 3) throw UsageError(fmt::format("{}: a point has the numbers x,y,z (pictures: x,y)", source));
    collector.addPoint(point.label, {n[0], n[1], inside}, n[2], source);
}

/// A CSV file of prompts.
class PromptTable {
  public:
    explicit PromptTable(const fs::path& path) : name_(path.string()) {
        std::istringstream lines(readTextFile(path));
        std::string line;
        while (std::getline(lines, line)) {
            ++lineCount_;
            if (trimmed(line).empty()) continue;
            std::vector<std::string> cells;
            for (const std::string& cell : split(line, ',')) cells.push_back(trimmed(cell));
            if (columns_.empty())
                readHeader(cells);
            else
                rows_.push_back({lineCount_, std::move(cells)});
        }
        if (columns_.empty()) throw DataError(name_, "is empty: a header line with the columns is expected");
    }

    void addTo(Collector& collector, const fs::path& image) const {
        for (const Row& row : rows_) {
            const std::string source = fmt::format("{}:{}", name_, row.line);
            const std::string wanted = text(row, "image");
            if (!wanted.empty() && wanted != image.filename().string() && wanted != imageStem(image) &&
                wanted != caseNameOf(image))
                continue;
            const int label = labelFrom(number(row, "label", 1), source);
            const double z = number(row, "z", 0);
            if (has(row, "x0"))
                collector.addBox(label, {number(row, "x0"), number(row, "y0"), number(row, "x1"), number(row, "y1")}, z,
                                 source);
            if (has(row, "x"))
                collector.addPoint(label, {number(row, "x"), number(row, "y"), number(row, "inside", 1) != 0}, z,
                                   source);
        }
    }

  private:
    struct Row {
        int line = 0;
        std::vector<std::string> cells;
    };

    void readHeader(const std::vector<std::string>& cells) {
        static const std::vector<std::string> known{"image", "label", "z", "x0", "y0", "x1", "y1", "x", "y", "inside"};
        for (std::size_t i = 0; i < cells.size(); ++i) {
            if (std::find(known.begin(), known.end(), cells[i]) == known.end())
                throw DataError(name_, fmt::format("column \"{}\" is none of: {}", cells[i], fmt::join(known, ", ")));
            columns_[cells[i]] = i;
        }
        if (!columns_.contains("x0") && !columns_.contains("x"))
            throw DataError(name_, "needs the columns x0, y0, x1, y1 for boxes or x, y for points");
    }

    std::string text(const Row& row, const std::string& column) const {
        const auto found = columns_.find(column);
        return found != columns_.end() && found->second < row.cells.size() ? row.cells[found->second] : "";
    }
    bool has(const Row& row, const std::string& column) const { return !text(row, column).empty(); }

    double number(const Row& row, const std::string& column,
                  double fallback = std::numeric_limits<double>::quiet_NaN()) const {
        const std::string cell = text(row, column);
        if (cell.empty() && !std::isnan(fallback)) return fallback;
        const auto value = toNumber(cell);
        if (!value) throw DataError(name_, fmt::format("line {}: {} is \"{}\", not a number", row.line, column, cell));
        return *value;
    }

    std::string name_;
    int lineCount_ = 0;
    std::map<std::string, std::size_t> columns_;
    std::vector<Row> rows_;
};

}  // namespace

fs::path labelFileFor(const fs::path& place, const fs::path& image) {
    if (!fs::is_directory(place)) return place;
    for (const std::string& stem : {imageStem(image), caseNameOf(image)})
        for (const char* ending : {".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha", ".png", ".tif", ".npy", ".npz"})
            if (fs::is_regular_file(place / (stem + ending))) return place / (stem + ending);
    throw DataError(place.string(),
                    fmt::format("no label map named {} or {} in this folder", imageStem(image), caseNameOf(image)));
}

bool PromptOptions::any() const {
    return !boxes.empty() || !points.empty() || !exclude.empty() || !csv.empty() || !boxesFrom.empty();
}

std::vector<Prompt> boxesOfLabels(const LabelMap& labels, double margin) {
    std::vector<Prompt> prompts;
    labels.visit([&](const auto& voxels) {
        const double right = static_cast<double>(voxels.nx() - 1), below = static_cast<double>(voxels.ny() - 1);
        for (std::int64_t z = 0; z < voxels.nz(); ++z) {
            std::map<int, std::array<double, 4>> boxes;
            const auto slice = voxels.slice(z);
            for (std::int64_t y = 0; y < slice.height; ++y)
                for (std::int64_t x = 0; x < slice.width; ++x) {
                    const int label = slice(x, y);
                    if (label == 0) continue;
                    const double px = static_cast<double>(x), py = static_cast<double>(y);
                    auto& box = boxes.try_emplace(label, std::array<double, 4>{px, py, px, py}).first->second;
                    box = {std::min(box[0], px), box[1], std::max(box[2], px), py};
                }
            for (const auto& [label, box] : boxes)
                prompts.push_back(
                    {label,
                     z,
                     std::array<double, 4>{std::max(0.0, box[0] - margin), std::max(0.0, box[1] - margin),
                                           std::min(right, box[2] + margin), std::min(below, box[3] + margin)},
                     {}});
        }
    });
    return prompts;
}

std::vector<Prompt> resolvePrompts(const PromptOptions& options, const Geometry& geometry, const fs::path& image,
                                   LabelTable& table) {
    Collector collector(geometry, image.string());
    for (const std::string& text : options.boxes) addBoxText(collector, text, options.world);
    for (const std::string& text : options.points) addPointText(collector, text, true, options.world);
    for (const std::string& text : options.exclude) addPointText(collector, text, false, options.world);
    if (!options.csv.empty()) PromptTable(options.csv).addTo(collector, image);
    LabelTable named;
    if (!options.boxesFrom.empty()) {
        const fs::path file = labelFileFor(options.boxesFrom, image);
        const LabelMap labels = readLabelMap(file);
        if (labels.geometry().size() != geometry.size())
            requireSameGeometry(labels.geometry(), file.string(), geometry, image.string());
        collector.add(boxesOfLabels(labels, options.margin));
        named = labels.table();
    }
    std::vector<Prompt> prompts = collector.finish();
    std::map<int, std::string> used;
    for (const Prompt& prompt : prompts) used.emplace(prompt.label, named.nameOf(prompt.label));
    table = LabelTable();
    for (const auto& [label, name] : used) table.add({label, name, named.colorOf(label)});
    return prompts;
}

}  // namespace medseg
