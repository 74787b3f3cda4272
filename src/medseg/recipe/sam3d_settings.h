// Recipe sections of SAM 3D's two stages ("sam3d"), of its sampling ("sampling"), of low-rank adapters ("lora")
// and of the terms of its loss ("loss"). The names of the last two are those of the medical fine-tuning scripts.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "medseg/recipe/settings.h"

namespace medseg {

struct Sam3dRecipeSettings {
    std::string preset = "tiny";
    std::string stage = "structure";
    std::string weights;
    std::string slices;
    int classes = 0;
    std::vector<int> axes{0, 1, 2};
    int minPixels = 20;
    std::array<int, 2> cropSize{0, 0};
    std::string target = "surface";
    std::string frame = "crop";
    double frameFactor = 2.2;
    std::string points = "auto";
    std::string embedder = "auto";
    double conditionDrop = 0.1;
    double pointmapDrop = 0.1;
    double timeMean = -1;
    double timeDeviation = 1;
    double shortcutShare = 0;
    int samplesPerEpoch = 0;
    int validationSamples = 24;
    int cacheMegabytes = 2048;
    int vaeEpochs = 20;
    int vaeSamplesPerEpoch = 0;
    double vaeLearningRate = 1e-3;
    double vaeKlWeight = 1e-3;
    std::string latents = "auto";
    std::string latentGenerator = "frozen";
    int latentVoxels = 0;
    int latentEpochs = 20;
    int latentSamplesPerEpoch = 0;
    double latentLearningRate = 1e-3;
};

template <typename Visitor>
void visitFields(Visitor&& field, Sam3dRecipeSettings& s) {
    field("preset", s.preset, "size of the networks: tiny trains on a CPU in minutes, official is the release",
          oneOf({"tiny", "small", "official"}));
    field("stage", s.stage,
          "what is trained: structure, from a slice to occupancy; latent, from occupancy to a surface; or both",
          oneOf({"structure", "latent", "both"}));
    field("weights", s.weights,
          "folder with ss_encoder.safetensors, ss_decoder.ckpt and ss_generator.ckpt, or a model that medseg trained; "
          "empty: train from scratch",
          Allowed{});
    field("slices", s.slices,
          "folder that `medseg prepare --form sam3d` wrote; empty: OUTPUT/cache, prepared from data.root", Allowed{});
    field("classes", s.classes, "labels are 1 to this; 0: all that were prepared", between(0, 255));
    field("axes", s.axes, "index axes to cut across", between(0, 2));
    field("min_pixels", s.minPixels, "pixels of its label that a slice must show to become a sample", between(1, 1e6));
    field("crop_size", s.cropSize, "cut or pad slices to this height and width around their centre; 0: as they are",
          between(0, 4096));
    field("target", s.target, "what is reconstructed: the surface voxels (filled after sampling), or the solid",
          oneOf({"surface", "solid"}));
    field("frame", s.frame,
          "the cube that the 64^3 grid covers: crop, the middle of the volume; object, a cube around the object as the "
          "slice shows it",
          oneOf({"crop", "object"}));
    field("frame_factor", s.frameFactor, "object frame: side over the longer side of the mask's box", between(1, 10));
    field("points", s.points,
          "coordinates of the pointmap: frame, from -1 to 1 across the cube; object, shifted and scaled by the object "
          "as in the release; auto: frame for networks trained from scratch",
          oneOf({"auto", "frame", "object"}));
    field("embedder", s.embedder,
          "condition embedders: frozen (their tokens are kept) or trained; auto: trained from scratch only",
          oneOf({"auto", "frozen", "trained"}));
    field("condition_drop", s.conditionDrop, "share of training samples without condition", between(0, 1));
    field("pointmap_drop", s.pointmapDrop, "share of training samples without pointmap", between(0, 1));
    field("time_mean", s.timeMean, "training times are sigmoid(normal): mean", between(-10, 10));
    field("time_deviation", s.timeDeviation, "and deviation of the normal", between(0, 10));
    field("shortcut_share", s.shortcutShare, "share of batches that train large steps (the release: 0.25)",
          between(0, 1));
    field("samples_per_epoch", s.samplesPerEpoch, "drawn anew for every epoch; 0: all", between(0, 1e9));
    field("validation_samples", s.validationSamples, "reconstructed after every epoch", between(0, 1e6));
    field("cache_mb", s.cacheMegabytes, "memory for tokens of frozen embedders", between(0, 1e6));
    field("vae_epochs", s.vaeEpochs, "training of the autoencoder, where weights are empty", between(1, 1e6));
    field("vae_samples_per_epoch", s.vaeSamplesPerEpoch, "shapes an epoch of the autoencoder; 0: all", between(0, 1e9));
    field("vae_learning_rate", s.vaeLearningRate, "highest step size of the autoencoder", between(0, 10));
    field("vae_kl_weight", s.vaeKlWeight, "weight of its Kullback-Leibler term", between(0, 1e3));
    field(
        "latents", s.latents,
        "what the mesh decoder sees: generator, latents sampled from the slice; structure, the occupancy around every "
        "voxel; auto: generator for the official preset",
        oneOf({"auto", "generator", "structure"}));
    field("latent_generator", s.latentGenerator,
          "latent generator: frozen, its latents are sampled once; or trained through the mesh decoder",
          oneOf({"frozen", "trained"}));
    field("latent_voxels", s.latentVoxels, "larger shapes are trained on a part of this many voxels; 0: whole shapes",
          between(0, 1e7));
    field("latent_epochs", s.latentEpochs, "training of the latent stage", between(1, 1e6));
    field("latent_samples_per_epoch", s.latentSamplesPerEpoch, "shapes an epoch of it; 0: all", between(0, 1e9));
    field("latent_learning_rate", s.latentLearningRate, "its highest step size", between(0, 10));
}

/// From noise to shapes; the same model may be sampled in many ways.
struct SamplingRecipeSettings {
    int steps = 25;
    double rescale = 3;
    double guidance = 7;
    std::array<double, 2> guidanceInterval{0, 500};
    bool distilled = false;
    int slicesPerObject = 1;
    int samples = 1;
    bool mesh = true;
    int latentSteps = 25;
    double latentGuidance = 1;
};

template <typename Visitor>
void visitFields(Visitor&& field, SamplingRecipeSettings& s) {
    field("steps", s.steps, "sampling steps", between(1, 1000));
    field("rescale", s.rescale, "above 1: more of the steps early", between(0.1, 100));
    field("guidance", s.guidance, "strength of guidance by the condition; 0: off", between(0, 100));
    field("guidance_interval", s.guidanceInterval, "of 1000 t, in which guidance acts", between(0, 1000));
    field("distilled", s.distilled, "two steps of a shortcut model without guidance instead", Allowed{});
    field("slices_per_object", s.slicesPerObject, "slices whose reconstructions are averaged, spread over the axes",
          between(1, 1000));
    field("samples", s.samples, "reconstructions of each slice that are averaged", between(1, 1000));
    field("mesh", s.mesh, "decode surfaces where the model has a mesh decoder, and label voxels by them", Allowed{});
    field("latent_steps", s.latentSteps, "sampling steps of structured latents", between(1, 1000));
    field("latent_guidance", s.latentGuidance, "their guidance by the condition, in the same interval",
          between(0, 100));
}

struct LoraRecipeSettings {
    bool enabled = false;
    int rank = 8;
    double alpha = 16;
    double dropout = 0;
    std::vector<std::string> targets{"to_qkv", "to_q", "to_kv", "to_out"};
    std::vector<std::string> exclude;
    std::vector<std::string> train;
    std::vector<std::string> trainLatent{"slat_decoder_mesh.out_layer"};
};

template <typename Visitor>
void visitFields(Visitor&& field, LoraRecipeSettings& s) {
    field("enabled", s.enabled, "train low-rank adapters of frozen weights instead of the weights", Allowed{});
    field("rank", s.rank, "rank of the adapters", between(1, 4096));
    field("alpha", s.alpha, "they are scaled by alpha / rank", between(1e-6, 1e6));
    field("dropout", s.dropout, "on the input of the adapters", between(0, 0.99));
    field("targets", s.targets, "linear layers to adapt, by any components of their path; * stands for any text",
          Allowed{});
    field("exclude", s.exclude, "paths that get no adapter", Allowed{});
    field("train", s.train, "further parameters that train, and are saved, with the adapters", Allowed{});
    field("train_latent", s.trainLatent, "the same in the latent stage", Allowed{});
}

struct ReconstructionLossSettings {
    double flow = 1;
    double occupancy = 0;
    double sdf = 0;
    double mask = 0;
    double meshDistance = 1;
    double chamfer = 0.1;
    double regulariser = 0.1;
    double meshOccupancy = 0;
    double meshLimit = 3;
};

template <typename Visitor>
void visitFields(Visitor&& field, ReconstructionLossSettings& s) {
    field("w_flow_loss", s.flow, "weight of the squared error of the velocity", between(0, 1e6));
    field("w_occupancy_loss", s.occupancy, "weight of cross entropy and Dice of the decoded occupancy",
          between(0, 1e6));
    field("w_sdf_loss", s.sdf, "weight of decoded errors by their distance to the surface", between(0, 1e6));
    field("w_mask_loss", s.mask, "weight of cross entropy and Dice on the slice that was given", between(0, 1e6));
    field("w_mesh_sdf_loss", s.meshDistance,
          "latent stage: weight of the distance error at the supervision points, voxels", between(0, 1e6));
    field("w_chamfer_loss", s.chamfer, "latent stage: weight of the squared Chamfer distance of surfaces, voxels^2",
          between(0, 1e6));
    field("w_regulariser", s.regulariser, "latent stage: weight of FlexiCubes' regulariser", between(0, 1e6));
    field("w_mesh_occupancy_loss", s.meshOccupancy, "latent stage: weight of cross entropy of inside and outside",
          between(0, 1e6));
    field("mesh_sdf_limit", s.meshLimit, "latent stage: distances beyond this many voxels count alike",
          between(0.1, 100));
}

}  // namespace medseg
