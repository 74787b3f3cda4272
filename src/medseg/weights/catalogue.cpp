#include "medseg/weights/catalogue.h"

#include <cstdlib>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/recipe/recipe.h"

namespace medseg {
namespace {

constexpr const char* kSamBase = "https://dl.fbaipublicfiles.com/segment_anything/";
constexpr const char* kSam2Base = "https://dl.fbaipublicfiles.com/segment_anything_2/";
constexpr const char* kSam3dBase = "hf:facebook/sam-3d-objects/checkpoints/";
constexpr const char* kApache = "Apache-2.0";

WeightFile sam3d(const char* file, double megabytes, const char* note) {
    return {"sam3d", file, std::string(kSam3dBase) + file, megabytes, "SAM License", true, note};
}

}  // namespace

const std::vector<WeightFile>& weightCatalogue() {
    static const std::vector<WeightFile> catalogue{
        sam3d("ss_encoder.safetensors", 237, "structure autoencoder: encoder of occupancy"),
        sam3d("ss_decoder.ckpt", 148, "structure autoencoder: decoder"),
        sam3d("ss_generator.ckpt", 6400, "structure generator with its condition embedders"),
        sam3d("slat_generator.ckpt", 4900, "latent generator with its condition embedders"),
        sam3d("slat_decoder_mesh.ckpt", 364, "mesh decoder"),
        sam3d("slat_decoder_gs.ckpt", 171, "Gaussian decoder, 32 a voxel"),
        sam3d("slat_decoder_gs_4.ckpt", 170, "Gaussian decoder, 4 a voxel"),
        {"sam_vit_b", "sam_vit_b_01ec64.pth", std::string(kSamBase) + "sam_vit_b_01ec64.pth", 375, kApache, false,
         "SAM ViT-B"},
        {"sam_vit_l", "sam_vit_l_0b3195.pth", std::string(kSamBase) + "sam_vit_l_0b3195.pth", 1250, kApache, false,
         "SAM ViT-L"},
        {"sam_vit_h", "sam_vit_h_4b8939.pth", std::string(kSamBase) + "sam_vit_h_4b8939.pth", 2565, kApache, false,
         "SAM ViT-H"},
        {"medsam", "medsam_vit_b.pth", "", 375, kApache, false,
         "MedSAM ViT-B: from the links in bowang-lab/MedSAM's README"},
        {"sam2_hiera_tiny", "sam2_hiera_tiny.pt", std::string(kSam2Base) + "072824/sam2_hiera_tiny.pt", 156, kApache,
         false, "SAM 2 Hiera-T"},
        {"sam2.1_hiera_tiny", "sam2.1_hiera_tiny.pt", std::string(kSam2Base) + "092824/sam2.1_hiera_tiny.pt", 156,
         kApache, false, "SAM 2.1 Hiera-T"},
        {"medsam2", "MedSAM2_latest.pt", "hf:wanglab/MedSAM2/MedSAM2_latest.pt", 156, "see its page", false,
         "MedSAM2 on SAM 2.1 Hiera-T"},
    };
    return catalogue;
}

std::vector<WeightFile> weightsNamed(const std::string& modelOrFile) {
    std::vector<WeightFile> chosen;
    std::vector<std::string> known;
    for (const WeightFile& weight : weightCatalogue()) {
        if (weight.model == modelOrFile || weight.file == modelOrFile) chosen.push_back(weight);
        known.push_back(weight.model);
        known.push_back(weight.file);
    }
    if (!chosen.empty()) return chosen;
    const std::string nearest = nearestWord(modelOrFile, known);
    throw UsageError(fmt::format(
        "no weights called \"{}\": {}", modelOrFile,
        nearest.empty() ? "`medseg weights list` shows all" : fmt::format("did you mean \"{}\"?", nearest)));
}

std::string resolveWeightUrl(const std::string& url) {
    constexpr std::string_view kScheme = "hf:";
    if (!url.starts_with(kScheme)) return url;
    const std::string path = url.substr(kScheme.size());
    const auto owner = path.find('/');
    const auto repository = path.find('/', owner + 1);
    const char* endpoint = std::getenv("HF_ENDPOINT");
    std::string base = endpoint != nullptr && *endpoint != '\0' ? endpoint : "https://huggingface.co";
    while (base.ends_with('/')) base.pop_back();
    return fmt::format("{}/{}/resolve/main/{}", base, path.substr(0, repository), path.substr(repository + 1));
}

}  // namespace medseg
