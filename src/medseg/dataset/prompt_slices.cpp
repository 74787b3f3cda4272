#include "medseg/dataset/prompt_slices.h"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/threads.h"
#include "medseg/dataset/split.h"
#include "medseg/io/npy.h"

namespace medseg {
namespace {

constexpr std::int64_t kChannels = 3;

/// "CT_Abd_0001-057" is slice 57 of CT_Abd_0001.
bool parseName(const std::string& stem, PromptSlice& slice) {
    const auto dash = stem.rfind('-');
    if (dash == std::string::npos || dash == 0) return false;
    const char* first = stem.data() + dash + 1;
    const char* last = stem.data() + stem.size();
    const auto [end, error] = std::from_chars(first, last, slice.number);
    slice.caseId = stem.substr(0, dash);
    return error == std::errc() && end == last && slice.number >= 0;
}

NpyArray readLabelArray(const fs::path& path) {
    NpyArray array = readNpy(path);
    if (array.type != NpyType::U8 || array.shape.size() != 2)
        throw DataError(path.string(), "not a label slice: uint8 of shape (rows, columns) is expected");
    return array;
}

template <typename T>
void channelsFirst(const T* pixels, std::int64_t count, double factor, float* out) {
    for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t c = 0; c < kChannels; ++c)
            out[c * count + i] = static_cast<float>(static_cast<double>(pixels[i * kChannels + c]) * factor);
}

}  // namespace

bool PromptSliceFolder::isAt(const fs::path& folder) {
    return fs::is_directory(folder / "gts") || fs::is_directory(folder / "npy" / "gts");
}

PromptSliceFolder::PromptSliceFolder(const fs::path& folder)
    : folder_(fs::is_directory(folder / "npy" / "gts") ? folder / "npy" : folder) {
    if (!fs::is_directory(folder_ / "gts") || !fs::is_directory(folder_ / "imgs"))
        throw DataError(folder.string(), "holds no imgs and gts: write them with `medseg prepare --form medsam --npy`");
    for (const auto& entry : fs::directory_iterator(folder_ / "gts")) {
        PromptSlice slice;
        if (entry.path().extension() != ".npy" || !parseName(entry.path().stem().string(), slice)) continue;
        slice.labels = entry.path();
        slice.image = folder_ / "imgs" / entry.path().filename();
        if (!fs::is_regular_file(slice.image)) throw DataError(slice.image.string(), "is missing, its labels exist");
        slices_.push_back(std::move(slice));
    }
    std::sort(slices_.begin(), slices_.end(), [](const PromptSlice& a, const PromptSlice& b) {
        return std::tie(a.caseId, a.number) < std::tie(b.caseId, b.number);
    });
    if (slices_.empty()) throw DataError(folder_.string(), "holds no slices gts/NAME-NNN.npy");
    const NpyArray first = readLabelArray(slices_.front().labels);
    rows_ = first.shape[0];
    columns_ = first.shape[1];
    parallelForEach(0, static_cast<std::int64_t>(slices_.size()), [&](std::int64_t i) {
        PromptSlice& slice = slices_[static_cast<std::size_t>(i)];
        std::array<std::int64_t, 256> counts{};
        for (const std::uint8_t label : readLabels(static_cast<std::size_t>(i))) ++counts[label];
        for (int label = 1; label < 256; ++label)
            if (counts[static_cast<std::size_t>(label)] > 0)
                slice.pixels[label] = counts[static_cast<std::size_t>(label)];
    });
    std::erase_if(slices_, [](const PromptSlice& slice) { return slice.pixels.empty(); });
    if (slices_.empty()) throw DataError(folder_.string(), "no slice carries a label");
}

std::vector<std::uint8_t> PromptSliceFolder::readLabels(std::size_t slice) const {
    const fs::path& path = slices_.at(slice).labels;
    NpyArray array = readLabelArray(path);
    if (array.shape[0] != rows_ || array.shape[1] != columns_)
        throw DataError(path.string(), fmt::format("has {}x{} pixels, the first slice {}x{}", array.shape[0],
                                                   array.shape[1], rows_, columns_));
    return std::move(array.bytes);
}

std::vector<float> PromptSliceFolder::readImage(std::size_t slice) const {
    const fs::path& path = slices_.at(slice).image;
    const NpyArray array = readNpy(path);
    if (array.shape != std::vector<std::int64_t>{rows_, columns_, kChannels})
        throw DataError(path.string(), fmt::format("not an image slice of shape ({}, {}, 3)", rows_, columns_));
    const std::int64_t count = rows_ * columns_;
    std::vector<float> image(static_cast<std::size_t>(count * kChannels));
    switch (array.type) {
        case NpyType::F64:
            channelsFirst(array.as<double>(), count, 1.0, image.data());
            break;
        case NpyType::F32:
            channelsFirst(array.as<float>(), count, 1.0, image.data());
            break;
        case NpyType::U8:
            channelsFirst(array.as<std::uint8_t>(), count, 1.0 / 255, image.data());
            break;
        default:
            throw DataError(path.string(),
                            fmt::format("holds {}: float64, float32 or uint8 is expected", npyTypeName(array.type)));
    }
    return image;
}

GrayPicture PromptSliceFolder::readGray(std::size_t slice) const {
    const fs::path& path = slices_.at(slice).image;
    const NpyArray array = readNpy(path);
    if (array.type != NpyType::U8 || array.shape.size() != 3 || array.shape[2] != kChannels ||
        array.elementCount() == 0)
        throw DataError(path.string(), "not an image slice of bytes (rows, columns, 3): prepare with --form medsam2");
    GrayPicture picture{array.shape[0], array.shape[1], {}};
    picture.pixels.resize(static_cast<std::size_t>(picture.rows * picture.columns));
    for (std::size_t i = 0; i < picture.pixels.size(); ++i)
        picture.pixels[i] = array.bytes[i * static_cast<std::size_t>(kChannels)];
    return picture;
}

PromptTarget PromptSliceFolder::target(const std::vector<std::uint8_t>& labels, int label) const {
    PromptTarget target;
    target.label = label;
    target.mask.resize(labels.size());
    std::int64_t left = columns_, right = -1, top = rows_, bottom = -1;
    for (std::int64_t y = 0; y < rows_; ++y)
        for (std::int64_t x = 0; x < columns_; ++x) {
            const auto i = static_cast<std::size_t>(y * columns_ + x);
            target.mask[i] = labels[i] == label ? 1 : 0;
            if (labels[i] != label) continue;
            left = std::min(left, x);
            right = std::max(right, x);
            top = std::min(top, y);
            bottom = y;
        }
    target.box = {static_cast<double>(left), static_cast<double>(top), static_cast<double>(right),
                  static_cast<double>(bottom)};
    return target;
}

void jitterBox(std::array<double, 4>& box, std::int64_t most, std::int64_t rows, std::int64_t columns, Random& random) {
    const auto shift = [&] { return static_cast<double>(random.index(static_cast<std::uint64_t>(most) + 1)); };
    box[0] = std::max(0.0, box[0] - shift());
    box[2] = std::min(static_cast<double>(columns), box[2] + shift());
    box[1] = std::max(0.0, box[1] - shift());
    box[3] = std::min(static_cast<double>(rows), box[3] + shift());
}

PromptSliceSplit splitPromptSlices(const PromptSliceFolder& folder, const DataSettings& settings, std::uint64_t seed) {
    const auto& slices = folder.slices();
    std::set<std::string> cases;
    for (const PromptSlice& slice : slices) cases.insert(slice.caseId);
    PromptSliceSplit split;
    split.bySlice = settings.split == "slice" || (settings.split == "auto" && cases.size() == 1);
    if (!split.bySlice) {
        const CaseSplit byCase = splitCases({cases.begin(), cases.end()}, settings, seed);
        const std::set<std::string> training(byCase.training.begin(), byCase.training.end());
        const std::set<std::string> validation(byCase.validation.begin(), byCase.validation.end());
        for (std::size_t i = 0; i < slices.size(); ++i) {
            if (training.contains(slices[i].caseId)) split.training.push_back(i);
            if (validation.contains(slices[i].caseId)) split.validation.push_back(i);
        }
    } else {
        Random random(seed, 0x5117);
        const auto every = static_cast<std::int64_t>(settings.holdOutEvery);
        for (std::size_t i = 0; i < slices.size(); ++i) {
            const double draw = random.uniform();
            const bool held = every > 0 ? slices[i].number % every == every / 2 : draw < settings.validationFraction;
            (held ? split.validation : split.training).push_back(i);
        }
    }
    if (split.training.empty()) throw UsageError("no slice is left to train on: hold out fewer");
    return split;
}

void writePromptSplit(const fs::path& file, const PromptSliceSplit& split, const PromptSliceFolder& folder) {
    const auto names = [&](const std::vector<std::size_t>& indices) {
        std::vector<std::string> list;
        for (const std::size_t i : indices) {
            const PromptSlice& slice = folder.slices()[i];
            const std::string& name = split.bySlice ? slice.name() : slice.caseId;
            if (list.empty() || list.back() != name) list.push_back(name);
        }
        return list;
    };
    const nlohmann::ordered_json json{{"by", split.bySlice ? "slice" : "case"},
                                      {"training", names(split.training)},
                                      {"validation", names(split.validation)}};
    writeTextFile(file, json.dump(2) + "\n");
}

}  // namespace medseg
