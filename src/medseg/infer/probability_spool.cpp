#include "medseg/infer/probability_spool.h"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/io/image_file.h"

namespace medseg {

ProbabilitySpool::ProbabilitySpool(fs::path folder, const Geometry& geometry, SliceAxis axis, const LabelTable& labels)
    : folder_(std::move(folder)),
      geometry_(geometry),
      labels_(labels),
      plan_(SlicePlan::of(geometry, axis)),
      present_(labels.size() + 1, std::vector<bool>(static_cast<std::size_t>(plan_.count), false)) {
    createDirectories(folder_);
    const fs::path scratch = folder_ / fmt::format(".probabilities-{}.tmp", ::getpid());
    descriptor_ = ::open(scratch.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor_ < 0) throw WorkError(scratch.string(), fmt::format("cannot create: {}", std::strerror(errno)));
    ::unlink(scratch.c_str());
}

ProbabilitySpool::~ProbabilitySpool() {
    ::close(descriptor_);
}

std::uint64_t ProbabilitySpool::offsetOf(int structure, std::int64_t slice) const {
    const auto plane = static_cast<std::uint64_t>(plan_.height * plan_.width) * sizeof(float);
    return plane * (static_cast<std::uint64_t>(structure - 1) * static_cast<std::uint64_t>(plan_.count) +
                    static_cast<std::uint64_t>(slice));
}

void ProbabilitySpool::add(int structure, std::int64_t slice, const float* values) {
    const auto bytes = static_cast<std::size_t>(plan_.height * plan_.width) * sizeof(float);
    if (::pwrite(descriptor_, values, bytes, static_cast<off_t>(offsetOf(structure, slice))) !=
        static_cast<ssize_t>(bytes))
        throw WorkError(folder_.string(), fmt::format("cannot store probabilities: {}", std::strerror(errno)));
    present_[structure][slice] = true;
}

bool ProbabilitySpool::has(int structure) const {
    const auto& slices = present_[static_cast<std::size_t>(structure)];
    return std::find(slices.begin(), slices.end(), true) != slices.end();
}

Volume<float> ProbabilitySpool::volume(int structure) const {
    std::vector<float> plane(static_cast<std::size_t>(plan_.height * plan_.width));
    const auto bytes = plane.size() * sizeof(float);
    Volume<float> volume(geometry_, 0.0f);
    for (std::int64_t slice = 0; slice < plan_.count; ++slice) {
        if (!present_[structure][slice]) continue;
        if (::pread(descriptor_, plane.data(), bytes, static_cast<off_t>(offsetOf(structure, slice))) !=
            static_cast<ssize_t>(bytes))
            throw WorkError(folder_.string(), fmt::format("cannot read back probabilities: {}", std::strerror(errno)));
        plan_.scatter(plane.data(), slice, volume.data());
    }
    return volume;
}

void ProbabilitySpool::writeVolumes() const {
    for (const Label& label : labels_.labels())
        writeImage(folder_ / (label.name + ".nii.gz"), AnyVolume(volume(label.id)));
}

}  // namespace medseg
