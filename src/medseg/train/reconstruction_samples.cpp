#include "medseg/train/reconstruction_samples.h"

#include <algorithm>

#include <fmt/format.h>

#include "medseg/base/error.h"

namespace medseg {
namespace {

torch::Tensor imageTensor(const Sam3dSlice& slice, const std::array<double, 2>& window) {
    auto image = torch::from_blob(const_cast<float*>(slice.image.data()), {slice.height, slice.width}).clone();
    image = ((image - window[0]) / (window[1] - window[0])).clamp(0, 1).nan_to_num(0);
    return image.unsqueeze(0).expand({3, -1, -1}).contiguous();
}

torch::Tensor maskTensor(const Sam3dSlice& slice, int label) {
    const auto labels =
        torch::from_blob(const_cast<std::uint8_t*>(slice.mask.data()), {1, slice.height, slice.width}, torch::kByte);
    return labels.eq(label).to(torch::kFloat);
}

/// Points in mm to coordinates from -1 to 1 across the frame.
torch::Tensor framePoints(const torch::Tensor& points, const Affine& affine, const OccupancyFrame& frame) {
    const Affine toIndex = inverse(affine);
    std::vector<torch::Tensor> axes;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        auto index = torch::full_like(points[0], toIndex[axis][3]);
        for (std::size_t i = 0; i < 3; ++i) index = index + toIndex[axis][i] * points[static_cast<std::int64_t>(i)];
        axes.push_back((index + 0.5 - frame.centre[axis]) / (frame.side / 2));
    }
    return torch::stack(axes);
}

std::vector<Sam3dObject> objectsOf(const Sam3dDataset& dataset, const std::vector<std::string>& ids) {
    std::vector<Sam3dObject> objects;
    for (std::size_t i = 0; i < dataset.cases().size(); ++i)
        if (std::find(ids.begin(), ids.end(), dataset.cases()[i]) != ids.end())
            objects.insert(objects.end(), dataset.objectsOf(i).begin(), dataset.objectsOf(i).end());
    return objects;
}

}  // namespace

ConditionRules ConditionRules::from(const Recipe& recipe, std::int64_t targetSize) {
    ConditionRules rules;
    rules.window = recipe.prepare.window;
    rules.cropSize = recipe.sam3d.cropSize;
    rules.targetSize = targetSize;
    if (!(rules.window[1] > rules.window[0])) throw UsageError("prepare.window: the second value must be larger");
    return rules;
}

ConditionImages conditionImages(const Sam3dSlice& full, int label, const Affine& affine, const OccupancyFrame& frame,
                                const ConditionRules& rules, const std::string& source) {
    try {
        const Sam3dSlice slice = centredSlice(full, rules.cropSize[0], rules.cropSize[1]);
        auto points =
            torch::from_blob(const_cast<float*>(slice.pointmap.data()), {3, slice.height, slice.width}).clone();
        ConditionPreprocessing settings;
        settings.targetSize = rules.targetSize;
        settings.normalizePoints = !rules.framePoints;
        if (rules.framePoints) points = framePoints(points, affine, frame);
        return prepareCondition(imageTensor(slice, rules.window), maskTensor(slice, label), points, settings).images;
    } catch (const DataError& error) {
        throw DataError(source, error.what());
    }
}

OccupancyFrame frameFor(const Recipe& recipe, const Sam3dSlice& slice, int label, const Index3& size,
                        std::int64_t grid) {
    return recipe.sam3d.frame == "object" ? objectFrame(slice, label, recipe.sam3d.frameFactor, grid)
                                          : cropFrame(size, grid);
}

torch::Tensor gridTensor(const std::vector<std::uint8_t>& voxels, std::int64_t grid) {
    return torch::from_blob(const_cast<std::uint8_t*>(voxels.data()), {grid, grid, grid}, torch::kByte)
        .to(torch::kFloat);
}

std::vector<std::uint8_t> gridVoxels(const torch::Tensor& occupied) {
    const auto bytes = occupied.to(torch::kByte).contiguous();
    const auto* first = bytes.data_ptr<std::uint8_t>();
    return {first, first + bytes.numel()};
}

FrameTarget frameTarget(const Volume<float>& distance, const OccupancyFrame& frame, bool surface) {
    std::vector<std::uint8_t> solid = occupancyInFrame(distance, frame);
    if (surface) solid = surfaceOf(solid, frame.grid);
    std::vector<float> values = distanceInFrame(distance, frame);
    return {gridTensor(solid, frame.grid).unsqueeze(0),
            torch::from_blob(values.data(), {1, frame.grid, frame.grid, frame.grid}).clone()};
}

ConditionImages stacked(const std::vector<ConditionImages>& images) {
    ConditionImages batch;
    for (std::size_t stream = 0; stream < kConditionStreams; ++stream) {
        std::vector<torch::Tensor> parts;
        for (const ConditionImages& one : images) parts.push_back(one.streams[stream]);
        batch.streams[stream] = torch::stack(parts);
    }
    return batch;
}

ReconstructionData ReconstructionData::open(const Recipe& recipe, const std::filesystem::path& folder) {
    Sam3dDatasetSettings settings;
    settings.classes = recipe.sam3d.classes;
    settings.axes = recipe.sam3d.axes;
    settings.minPixels = recipe.sam3d.minPixels;
    ReconstructionData data;
    data.dataset = std::make_unique<Sam3dDataset>(folder, settings);
    data.split = splitCases(data.dataset->cases(), recipe.data, recipe.seed);
    data.training = objectsOf(*data.dataset, data.split.training);
    data.validation = objectsOf(*data.dataset, data.split.validation);
    data.test = objectsOf(*data.dataset, data.split.test);
    if (data.training.empty())
        throw DataError(folder.string(), fmt::format("no slice of the training cases shows {} pixels of a label 1..{}: "
                                                     "lower sam3d.min_pixels",
                                                     settings.minPixels, settings.classes));
    return data;
}

std::vector<Sam3dObject> spread(const std::vector<Sam3dObject>& objects, std::size_t count) {
    if (count == 0 || count >= objects.size()) return objects;
    std::vector<Sam3dObject> chosen;
    for (std::size_t i = 0; i < count; ++i) chosen.push_back(objects[i * objects.size() / count]);
    return chosen;
}

}  // namespace medseg
