// Verification of nnU-Net's raw datasets.
#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/memory_budget.h"
#include "medseg/dataset/nnunet_dataset.h"
#include "medseg/io/image_file.h"

namespace medseg {
namespace {

using Lines = std::vector<std::string>;

std::set<int> expectedLabels(const NnunetDescription& description) {
    std::set<int> values;
    for (const NnunetLabel& label : description.labels) values.insert(label.values.begin(), label.values.end());
    return values;
}

void checkLabelValues(const std::set<int>& values, const std::string& file, Lines& faults) {
    int expected = 0;
    for (const int value : values) {
        if (value != expected) {
            faults.push_back(
                fmt::format("{}: labels are not consecutive: {} is missing, the next is {}", file, expected, value));
            return;
        }
        ++expected;
    }
}

void compareGrid(const Geometry& grid, const fs::path& file, const Geometry& first, const fs::path& firstFile,
                 Lines& faults) {
    try {
        requireSameGeometry(grid, file.string(), first, firstFile.string());
    } catch (const DataError& problem) {
        faults.emplace_back(problem.what());
    }
}

void checkChannel(const fs::path& file, Lines& faults) {
    const Volume<float> image = readImage(file);
    const auto bad =
        std::count_if(image.data(), image.data() + image.voxelCount(), [](float value) { return std::isnan(value); });
    if (bad > 0) faults.push_back(fmt::format("{}: NaN in {} voxels", file.string(), bad));
}

void checkLabels(const fs::path& file, const std::set<int>& expected, Lines& faults) {
    const std::vector<std::int64_t> counts = readLabelMap(file).countVoxels();
    for (std::size_t id = 0; id < counts.size(); ++id)
        if (counts[id] > 0 && !expected.contains(static_cast<int>(id)))
            faults.push_back(
                fmt::format("{}: label {} in {} voxels is not in dataset.json", file.string(), id, counts[id]));
}

Lines checkCase(const NnunetCase& item, const std::set<int>& expected) {
    Lines faults;
    std::vector<fs::path> files = item.channels;
    files.push_back(item.label);
    const fs::path* first = nullptr;
    Geometry grid;
    for (const fs::path& file : files) {
        throwIfInterrupted();
        const bool isLabel = &file == &files.back();
        if (!fs::exists(file)) {
            faults.push_back(fmt::format("{}: is missing ({} of case {})", file.string(),
                                         isLabel ? "the labels" : "a channel", item.id));
            continue;
        }
        try {
            const Geometry own = readImageHeader(file).geometry;
            if (first == nullptr) {
                first = &file;
                grid = own;
            } else {
                compareGrid(own, file, grid, *first, faults);
            }
            if (isLabel)
                checkLabels(file, expected, faults);
            else
                checkChannel(file, faults);
        } catch (const DataError& problem) {
            faults.emplace_back(problem.what());
        }
    }
    return faults;
}

/// nnU-Net predicts imagesTs, which may be missing; a case there needs all of its channels.
void checkTestImages(const fs::path& root, const NnunetDescription& description, Lines& faults) {
    if (std::error_code error; !fs::is_directory(root / "imagesTs", error)) return;
    for (const NnunetCase& item : findNnunetCases(root, description, "imagesTs"))
        for (const fs::path& file : item.channels)
            if (!fs::exists(file))
                faults.push_back(fmt::format("{}: is missing (a channel of test case {})", file.string(), item.id));
}

}  // namespace

std::vector<std::string> checkNnunetDataset(const fs::path& root, std::uint64_t memory) {
    const fs::path file = root / "dataset.json";
    const NnunetDescription description = readNnunetDescription(file);
    const std::vector<NnunetCase> cases = findNnunetCases(root, description);
    const std::set<int> expected = expectedLabels(description);
    Lines faults;
    checkLabelValues(expected, file.string(), faults);
    if (static_cast<std::int64_t>(cases.size()) != description.numTraining)
        faults.push_back(fmt::format("{}: numTraining is {}, imagesTr holds {} cases", file.string(),
                                     description.numTraining, cases.size()));
    std::vector<Lines> found(cases.size());
    MemoryBudget budget(memory);
    forEachCase("check", cases.size(), [&](std::size_t i) {
        const MemoryBudget::Share share(budget, nnunetCaseMemory(cases[i], 1));
        found[i] = checkCase(cases[i], expected);
    });
    for (const Lines& lines : found) faults.insert(faults.end(), lines.begin(), lines.end());
    checkTestImages(root, description, faults);
    return faults;
}

}  // namespace medseg
