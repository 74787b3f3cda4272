#include "medseg/io/nrrd.h"

#include <cstring>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/nrrd_header.h"
#include "medseg/io/seg_nrrd.h"
#include "medseg/volume/voxel_types.h"

namespace medseg {
namespace {

constexpr std::string_view kAttachedEnding = ".nrrd", kDetachedEnding = ".nhdr", kSegmentationEnding = ".seg.nrrd";

TextHeaderImage readText(const fs::path& path) {
    TextHeaderImage image = readNrrdText(path);
    const std::vector<Segment> segments = segmentsIn(image.metadata);
    if (!segments.empty()) image.header.labels = segmentTable(segments, mergedIds(segments));
    return image;
}

/// The label table of one layer, with the values that stand in it.
LabelTable layerTable(const std::vector<Segment>& segments, int layer) {
    std::vector<Segment> chosen;
    std::vector<int> ids;
    for (const Segment& segment : segments) {
        if (segment.layer != layer) continue;
        chosen.push_back(segment);
        ids.push_back(segment.value);
    }
    return segmentTable(chosen, ids);
}

template <typename T>
AnyVolume mergedLayers(const Volume<T>& stacked, const Geometry& geometry, const std::vector<Segment>& segments,
                       const std::string& source) {
    const std::vector<int> ids = mergedIds(segments);
    Volume<std::uint16_t> merged(geometry, 0);
    const std::int64_t count = geometry.voxelCount(), layers = stacked.voxelCount() / count;
    for (std::size_t s = 0; s < segments.size(); ++s) {
        if (segments[s].layer >= layers)
            throw DataError(source, fmt::format("segment \"{}\" has no layer", segments[s].name));
        const T* voxels = stacked.data() + segments[s].layer * count;
        for (std::int64_t i = 0; i < count; ++i) {
            if (voxels[i] != static_cast<T>(segments[s].value)) continue;
            std::uint16_t& target = merged.data()[i];
            if (target != 0) {
                const auto other = std::find(ids.begin(), ids.end(), int{target}) - ids.begin();
                throw DataError(
                    source, fmt::format("segments \"{}\" and \"{}\" overlap: read one layer at a time with "
                                        "--volume 0 ... {}",
                                        segments[static_cast<std::size_t>(other)].name, segments[s].name, layers - 1));
            }
            target = static_cast<std::uint16_t>(ids[s]);
        }
    }
    return merged;
}

StoredImage readMergedLayers(TextHeaderImage image, const std::vector<Segment>& segments, const fs::path& path) {
    ReadOptions all;
    all.stackVolumes = true;
    const AnyVolume stacked = readPlacedVoxels(image, all);
    const Geometry geometry = image.header.geometry;
    StoredImage result{std::move(image.header), {}};
    result.header.notes.push_back(fmt::format("{} layers of segments, merged", result.header.shape.back()));
    result.header.shape.pop_back();
    result.header.storedType = "uint16";
    result.voxels = std::visit(
        [&](const auto& volume) { return mergedLayers(volume, geometry, segments, path.string()); }, stacked);
    return result;
}

}  // namespace

bool isNrrdName(const fs::path& path) {
    return endsWithIgnoringCase(path.string(), kAttachedEnding) || endsWithIgnoringCase(path.string(), kDetachedEnding);
}

bool looksLikeNrrd(ByteSpan bytes) {
    constexpr std::string_view kMagic = "NRRD000";
    return bytes.size() > kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

ImageHeader readNrrdHeader(const fs::path& path) {
    return readText(path).header;
}

StoredImage readNrrd(const fs::path& path, const ReadOptions& options) {
    TextHeaderImage image = readText(path);
    if (image.header.storedType.starts_with("rgb"))
        throw DataError(path.string(), "holds RGB colours, not intensities or labels");
    const std::vector<Segment> segments = segmentsIn(image.metadata);
    const bool layered = !segments.empty() && image.header.shape.size() > 3;
    if (layered && !options.volumeIndex) return readMergedLayers(std::move(image), segments, path);
    StoredImage result{image.header, readPlacedVoxels(image, options)};
    if (layered) result.header.labels = layerTable(segments, *options.volumeIndex);
    return result;
}

void writeNrrd(const fs::path& path, const AnyVolume& volume, const LabelTable& labels, int level) {
    const std::string name = path.string();
    const Geometry& geometry = geometryOf(volume);
    KeyValues metadata;
    if (endsWithIgnoringCase(name, kSegmentationEnding)) metadata = segmentMetadata(labels, geometry.size());
    const bool detached = endsWithIgnoringCase(name, kDetachedEnding);
    const fs::path dataFile =
        detached ? fs::path(name.substr(0, name.size() - kDetachedEnding.size()) + ".raw.gz") : path;
    const std::string text = nrrdText(geometry, kVoxelTypeNames[volume.index()],
                                      detached ? dataFile.filename().string() : std::string(), metadata);
    const ByteSpan voxels = voxelBytes(volume);
    AtomicFile data(dataFile);
    if (!detached) data.write(text);
    writeGzip(data, {&voxels, 1}, level);
    data.commit();
    if (detached) writeTextFile(path, text);
}

}  // namespace medseg
