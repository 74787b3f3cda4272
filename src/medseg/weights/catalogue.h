// The released checkpoints that medseg's recipes start from: where they are, under which licence.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace medseg {

struct WeightFile {
    std::string model;     ///< what to ask for: "sam3d", "sam_vit_b"
    std::string file;      ///< official file name
    std::string url;       ///< "hf:REPOSITORY/PATH" for Hugging Face, see resolveWeightUrl(); empty: no stable address
    double megabytes = 0;  ///< about; 0: not known
    std::string licence;
    bool gated = false;  ///< the licence must be accepted on the page, and HF_TOKEN be set
    std::string note;
};

const std::vector<WeightFile>& weightCatalogue();

/// The files of a model, or the one file of that name. Throws UsageError with the nearest known name.
std::vector<WeightFile> weightsNamed(const std::string& modelOrFile);

/// An address to download: "hf:" becomes HF_ENDPOINT (default the public one)/REPOSITORY/resolve/main/PATH.
std::string resolveWeightUrl(const std::string& url);

}  // namespace medseg
