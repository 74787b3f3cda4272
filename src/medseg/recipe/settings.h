// The sections of a recipe as plain structs. Each lists its fields once, in visitFields(): the parser, the writer of
// the resolved recipe, the override checks and `medseg run --keys` all read that list.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace medseg {

/// Bounds of a number, inclusive; or the words a string may be. Empty = anything.
struct Allowed {
    double low = -1e300;
    double high = 1e300;
    std::vector<std::string> words;
};

inline Allowed between(double low, double high) {
    return {low, high, {}};
}
inline Allowed oneOf(std::vector<std::string> words) {
    return {-1e300, 1e300, std::move(words)};
}

/// Cases that `medseg demo`, and recipes without data of their own, generate.
struct PhantomSectionSettings {
    int cases = 0;
    std::array<int, 3> size{128, 104, 40};
    double spacing = 3.0;
};

template <typename Visitor>
void visitFields(Visitor&& field, PhantomSectionSettings& s) {
    field("cases", s.cases, "synthetic cases to generate into data.root first; 0 = none", between(0, 100000));
    field("size", s.size, "voxels along x, y, z", between(8, 1024));
    field("spacing", s.spacing, "voxel size, mm", between(0.2, 20));
}

/// Where the raw volumes are and how cases are told apart.
struct DataSettings {
    std::string root;
    std::string layout = "auto";
    std::string images = "imagesTr";
    std::string labelsFolder = "labelsTr";
    std::string imageSuffix = "_0000.nii.gz";
    std::string labelSuffix = ".nii.gz";
    std::vector<std::string> structures;
    std::string split = "auto";
    double validationFraction = 0.2;
    double testFraction = 0.0;
    int holdOutEvery = 0;
    std::vector<std::string> validationCases;
    std::vector<std::string> testCases;
    int folds = 0;
    int fold = 0;
};

template <typename Visitor>
void visitFields(Visitor&& field, DataSettings& s) {
    field("root", s.root, "folder with the cases", Allowed{});
    field("layout", s.layout,
          "totalsegmentator: CASE/ct.nii.gz with CASE/segmentations/NAME.nii.gz; pairs: images and labels by suffix",
          oneOf({"auto", "totalsegmentator", "pairs"}));
    field("images", s.images, "pairs: folder of the images, below root", Allowed{});
    field("labels_folder", s.labelsFolder, "pairs: folder of the labels, below root", Allowed{});
    field("image_suffix", s.imageSuffix, "pairs: ending of an image's name", Allowed{});
    field("label_suffix", s.labelSuffix, "pairs: ending of a label's name", Allowed{});
    field("structures", s.structures,
          "names to segment, in output order; empty: all that the layout defines (117 for totalsegmentator)",
          Allowed{});
    field("split", s.split, "what is held out: whole cases, or slices (auto: slices when there is one case)",
          oneOf({"auto", "case", "slice"}));
    field("validation_fraction", s.validationFraction, "share held out for validation", between(0, 0.9));
    field("test_fraction", s.testFraction, "share held out for the final test", between(0, 0.9));
    field("hold_out_every", s.holdOutEvery, "slice split: hold out every k-th slice instead of a random share; 0 = off",
          between(0, 1000));
    field("validation_cases", s.validationCases, "cases to validate on, by name; empty: drawn by seed", Allowed{});
    field("test_cases", s.testCases, "cases to test on, by name; empty: drawn by seed", Allowed{});
    field("folds", s.folds, "cross-validation: number of folds; 0 = off", between(0, 100));
    field("fold", s.fold, "cross-validation: which fold to validate on, 0-based", between(0, 99));
}

/// How volumes become training slices, or, for three-dimensional networks, volumes of one voxel size.
struct PrepareSettings {
    std::string form = "slices";
    std::array<double, 2> window{-200, 300};
    std::array<int, 2> imageSize{256, 256};
    std::array<double, 3> spacing{1.5, 1.5, 1.5};
    std::string axis = "axial";
    std::string slices = "all";
    int everySlice = 1;
};

template <typename Visitor>
void visitFields(Visitor&& field, PrepareSettings& s) {
    field(
        "form", s.form,
        "what to write: the U-Net's slices or, with model.dimensions 3, volumes (the keys of this section), or a form "
        "with its own section",
        oneOf({"slices", "medsam", "medsam2", "litemedsam", "sam3d", "nnunet"}));
    field("window", s.window, "HU range mapped to [0, 1], clipped outside", Allowed{});
    field("image_size", s.imageSize, "height and width of the network's input, pixels", between(16, 4096));
    field("spacing", s.spacing, "three-dimensional networks: voxel size along x, y, z, mm", between(0.05, 100));
    field("axis", s.axis, "plane of the slices", oneOf({"axial", "coronal", "sagittal"}));
    field("slices", s.slices, "which slices to keep", oneOf({"all", "labelled"}));
    field("every_slice", s.everySlice, "keep every k-th slice", between(1, 1000));
}

/// The network.
struct ModelSettings {
    std::string kind = "unet";
    std::string architecture = "unet2d";
    int dimensions = 2;
    std::array<int, 3> patchSize{96, 96, 96};
    std::vector<int> features{32, 64, 128, 256};
    int bottleneck = 512;
    std::string output = "sigmoid";
    int neighbours = 0;
    std::vector<std::string> coordinates;
    bool priorBias = true;
    std::string norm = "batch";
    bool residual = false;
    bool attention = false;
    bool deepSupervision = false;
};

template <typename Visitor>
void visitFields(Visitor&& field, ModelSettings& s) {
    field("kind", s.kind, "network family; the keys below are those of unet, the others have sections of their own",
          oneOf({"unet", "sam", "sam2", "sam3d"}));
    field("architecture", s.architecture, "unet: its architecture", oneOf({"unet2d"}));
    field("dimensions", s.dimensions, "2: slices; 3: volumes, in patches", between(2, 3));
    field("patch_size", s.patchSize, "dimensions 3: voxels along x, y, z that the network sees at once",
          between(4, 1024));
    field("features", s.features, "channels of the encoder levels", between(1, 4096));
    field("bottleneck", s.bottleneck, "channels of the bottleneck", between(1, 8192));
    field("output", s.output, "sigmoid: structures may overlap; softmax: one structure or background a pixel",
          oneOf({"sigmoid", "softmax"}));
    field("neighbours", s.neighbours,
          "2.5D: slices before and after each one given to the network as further channels (0, 1 or 2)", between(0, 8));
    field("coordinates", s.coordinates,
          "positions given to the network as further input channels: x and y in the slice, z in the volume",
          oneOf({"x", "y", "z"}));
    field("prior_bias", s.priorBias,
          "start the output bias at the log-odds of each structure's frequency in the training slices", Allowed{});
    field("norm", s.norm, "normalisation after each convolution; instance and group suit batches of one or two",
          oneOf({"batch", "instance", "group"}));
    field("residual", s.residual, "add the input of each double convolution to its output", Allowed{});
    field("attention", s.attention, "attention gates on the skip connections", Allowed{});
    field("deep_supervision", s.deepSupervision, "train the lower decoder levels on coarser labels too", Allowed{});
}

/// The training loop.
struct TrainSettings {
    int epochs = 5;
    int batchSize = 8;
    std::string loss = "bce";
    double diceWeight = 1.0;
    bool presentOnly = true;
    bool dicePerImage = false;
    bool diceBackground = false;
    bool diceSquared = false;
    bool diceJaccard = false;
    std::array<double, 2> tversky{0.3, 0.7};
    double focalGamma = 2.0;
    double focalAlpha = -1;
    std::string classWeights = "none";
    std::vector<std::string> structureWeights;
    std::string ignoreLabel;
    std::string optimizer = "adam";
    double learningRate = 1e-3;
    std::array<double, 2> betas{0.9, 0.999};
    double weightDecay = 1e-5;
    bool decayAll = false;
    double momentum = 0.99;
    std::string schedule = "plateau";
    double plateauFactor = 0.5;
    int plateauPatience = 3;
    double cycleRise = 0.3;
    bool cycleMomentum = false;
    int warmupEpochs = 0;
    double gradientClip = 1.0;
    int earlyStop = 0;
    double emaDecay = 0;
    double oversample = 0;
    int validateEvery = 1;
    int saveEvery = 1;
    int keepCheckpoints = 3;
    int workers = 1;
    int accumulate = 1;
    std::string precision = "auto";
    bool tensorboard = true;
    int sampleEvery = 0;
    int patchesPerCase = 8;
    double foreground = 0.33;
};

template <typename Visitor>
void visitFields(Visitor&& field, TrainSettings& s) {
    field("epochs", s.epochs, "passes over the training slices", between(1, 1e6));
    field("batch_size", s.batchSize, "slices or patches a batch", between(1, 4096));
    field("accumulate", s.accumulate, "batches a step: their gradients are averaged, as of one batch of that size",
          between(1, 4096));
    field("precision", s.precision,
          "numbers of convolutions; bf16 also on CPUs that multiply it (2D U-Nets, SAM), fp16 on CUDA only; auto: fp32 "
          "on the CPU",
          oneOf({"auto", "fp32", "bf16", "fp16"}));
    field("loss", s.loss, "bce on sigmoid outputs, ce on softmax outputs, the others on both; A_B is the sum of both",
          oneOf({"bce", "ce", "focal", "dice", "generalized_dice", "tversky", "bce_dice", "ce_dice", "focal_dice",
                 "bce_generalized_dice", "ce_generalized_dice", "focal_generalized_dice", "bce_tversky", "ce_tversky",
                 "focal_tversky"}));
    field("dice_weight", s.diceWeight, "weight of the Dice or Tversky term beside BCE, CE or focal", between(0, 1e3));
    field("present_only", s.presentOnly, "Dice or Tversky term over structures that occur in the batch only",
          Allowed{});
    field("dice_per_image", s.dicePerImage, "Dice or Tversky term of each slice; else of the whole batch at once",
          Allowed{});
    field("dice_background", s.diceBackground, "softmax outputs: background has a Dice or Tversky term too", Allowed{});
    field("dice_squared", s.diceSquared, "Dice with squared probabilities in the denominator", Allowed{});
    field("dice_jaccard", s.diceJaccard, "soft intersection over union instead of Dice", Allowed{});
    field("tversky", s.tversky, "tversky: weights of false positives and false negatives", between(0, 10));
    field("focal_gamma", s.focalGamma, "focal: exponent that plays easy pixels down", between(0, 10));
    field("focal_alpha", s.focalAlpha, "focal: weight of structures against what is outside them; -1: none",
          between(-1, 1));
    field("class_weights", s.classWeights,
          "weights of the structures from the training slices: inverse (median over own frequency), log (1 / ln(1.02 + "
          "frequency)), effective (number of slices, beta 0.999)",
          oneOf({"none", "inverse", "log", "effective"}));
    field("structure_weights", s.structureWeights, "further factors by name: [liver=0.5, spleen=2]", Allowed{});
    field("ignore_label", s.ignoreLabel, "structure that marks pixels without annotation: they are left out",
          Allowed{});
    field("optimizer", s.optimizer, "optimiser", oneOf({"adam", "adamw", "sgd"}));
    field("learning_rate", s.learningRate, "first (plateau, constant) or highest (cosine, poly, one_cycle) step size",
          between(0, 10));
    field("betas", s.betas, "Adam's decay of the first and second moment", between(0, 1));
    field("weight_decay", s.weightDecay, "L2 penalty; with adamw decoupled, and on weights only (not biases and norms)",
          between(0, 1));
    field("decay_all", s.decayAll, "adamw: decay biases, norms and position tables too, as torch does by default",
          Allowed{});
    field("momentum", s.momentum, "sgd: Nesterov momentum", between(0, 1));
    field("schedule", s.schedule, "how the step size changes",
          oneOf({"plateau", "constant", "cosine", "poly", "one_cycle"}));
    field("plateau_factor", s.plateauFactor, "plateau: factor applied when validation Dice stops rising",
          between(0, 1));
    field("plateau_patience", s.plateauPatience, "plateau: validations to wait", between(0, 1e6));
    field("cycle_rise", s.cycleRise, "one_cycle: share of the steps in which the step size rises", between(0, 1));
    field("cycle_momentum", s.cycleMomentum, "one_cycle: move Adam's beta1 from 0.95 down to 0.85 and back", Allowed{});
    field("warmup_epochs", s.warmupEpochs, "epochs over which the step size rises from zero", between(0, 1e6));
    field("gradient_clip", s.gradientClip, "largest gradient norm; 0 = off", between(0, 1e9));
    field("early_stop", s.earlyStop, "stop after this many validations without a better Dice; 0 = off",
          between(0, 1e6));
    field("ema_decay", s.emaDecay, "moving average of the weights, used for validation and best; 0 = off",
          between(0, 0.99999));
    field("oversample", s.oversample,
          "0: every slice equally often; 1: slices with rare structures up to four times as often", between(0, 1));
    field("validate_every", s.validateEvery, "epochs between validations", between(1, 1e6));
    field("save_every", s.saveEvery, "epochs between checkpoint_epochX files; 0 = none", between(0, 1e6));
    field("keep_checkpoints", s.keepCheckpoints, "newest checkpoint_epochX files to keep; 0 = all", between(0, 1e6));
    field("tensorboard", s.tensorboard, "write the curves as TensorBoard events too, to MODEL/events", Allowed{});
    field("sample_every", s.sampleEvery,
          "epochs between pictures of predictions against reference, MODEL/samples/epochX.png; 0 = none",
          between(0, 1e6));
    field("patches_per_case", s.patchesPerCase, "dimensions 3: patches drawn from every training case in an epoch",
          between(1, 1e6));
    field(
        "foreground", s.foreground,
        "dimensions 3: share of the patches that are centred on a structure, each structure of the case equally often",
        between(0, 1));
    field("workers", s.workers, "threads that load and augment slices or patches", between(1, 256));
}

/// Random changes of training slices.
struct AugmentationSettings {
    bool enabled = false;
    double probability = 0.8;
    double rotation = 15;
    std::array<double, 2> scale{0.85, 1.15};
    double shift = 0.06;
    bool flipHorizontal = false;
    bool flipVertical = false;
    bool flipDepth = false;
    std::array<double, 2> gamma{0.8, 1.25};
    double brightness = 0.08;
    double contrast = 0.15;
    std::array<double, 2> intensityScale{1, 1};
    double noise = 0.02;
    double effectProbability = 0.2;
    double elastic = 0;
    double elasticSpacing = 0.125;
    double blur = 0;
    double lowResolution = 1;
};

template <typename Visitor>
void visitFields(Visitor&& field, AugmentationSettings& s) {
    field("enabled", s.enabled, "change training slices at random", Allowed{});
    field("probability", s.probability, "chance that a slice is changed in shape, and again in intensity",
          between(0, 1));
    field("rotation", s.rotation, "largest rotation, degrees", between(0, 180));
    field("scale", s.scale, "range of the zoom factor", between(0.1, 10));
    field("shift", s.shift, "largest shift, share of the width", between(0, 1));
    field("flip_horizontal", s.flipHorizontal, "mirror left-right (wrong where left and right are told apart)",
          Allowed{});
    field("flip_vertical", s.flipVertical, "mirror front-back", Allowed{});
    field("flip_depth", s.flipDepth, "dimensions 3: mirror head-feet", Allowed{});
    field("gamma", s.gamma, "range of the gamma exponent", between(0.05, 20));
    field("brightness", s.brightness, "largest added value, on the [0, 1] scale", between(0, 1));
    field("contrast", s.contrast, "largest relative change of contrast", between(0, 1));
    field("intensity_scale", s.intensityScale, "range of a factor on all values", between(0, 10));
    field("noise", s.noise, "largest standard deviation of Gaussian noise, on the [0, 1] scale", between(0, 1));
    field("effect_probability", s.effectProbability, "chance of each of elastic, blur and low_resolution",
          between(0, 1));
    field("elastic", s.elastic, "elastic deformation: largest displacement, share of the width; 0 = off",
          between(0, 0.5));
    field("elastic_spacing", s.elasticSpacing,
          "elastic deformation: distance of its control points, share of the width; above 2.5 times elastic nothing is "
          "cut to avoid folds",
          between(0.01, 1));
    field("blur", s.blur, "largest sigma of a Gaussian blur, pixels; 0 = off", between(0, 20));
    field("low_resolution", s.lowResolution,
          "lowest resolution to simulate, share of the pixels along an axis; 1 = off", between(0.05, 1));
}

/// From model to label volumes.
struct PredictSettings {
    int batchSize = 8;
    double overlap = 0.5;
    double threshold = 0.5;
    bool searchThresholds = false;
    bool separate = false;
    bool probabilities = false;
    bool crf = false;
    bool uncertainty = false;
    std::string precision = "fp32";
    std::vector<std::string> mirror;
    double smoothMm = 0;
    int smallVoxels = 0;
    bool largestComponent = false;
    bool fillHoles = false;
};

template <typename Visitor>
void visitFields(Visitor&& field, PredictSettings& s) {
    field("batch_size", s.batchSize, "slices or patches at once", between(1, 4096));
    field("overlap", s.overlap, "dimensions 3: share of the patch size by which neighbouring patches overlap",
          between(0, 0.95));
    field("threshold", s.threshold, "sigmoid outputs: probability from which a pixel counts", between(0, 1));
    field("search_thresholds", s.searchThresholds,
          "sigmoid outputs: choose every structure's threshold on the validation slices first", Allowed{});
    field("separate", s.separate, "also write one mask per structure", Allowed{});
    field("probabilities", s.probabilities, "also write one probability volume per structure", Allowed{});
    field("crf", s.crf, "let the probabilities follow the edges of the image (dense CRF) before labels are chosen",
          Allowed{});
    field("uncertainty", s.uncertainty, "also write the entropy of the probabilities, 0 sure .. 1", Allowed{});
    field("precision", s.precision, "arithmetic; int8 needs `medseg checkpoint quantize` first",
          oneOf({"fp32", "bf16", "int8"}));
    field("mirror", s.mirror, "axes to mirror and average (for models trained with flips); z: dimensions 3 only",
          oneOf({"x", "y", "z"}));
    field("smooth_mm", s.smoothMm, "Gaussian votes of neighbouring slices on labels, sigma in mm; 0 = off",
          between(0, 100));
    field("small_voxels", s.smallVoxels, "remove components of fewer voxels; 0 = off", between(0, 1e9));
    field("largest_component", s.largestComponent, "keep the largest component of every structure only", Allowed{});
    field("fill_holes", s.fillHoles, "fill background that one structure encloses", Allowed{});
}

/// What is measured.
struct EvaluateSettings {
    std::vector<std::string> metrics{"dice", "iou", "volume"};
    std::vector<double> iouThresholds{0.1, 0.25, 0.5, 0.75, 0.9};
    double nsdTolerance = 1.0;
    int minimumVoxels = 0;
};

template <typename Visitor>
void visitFields(Visitor&& field, EvaluateSettings& s) {
    field("metrics", s.metrics, "names as in `medseg evaluate --help`", Allowed{});
    field("iou_thresholds", s.iouThresholds, "a structure counts as detected from these IoU on", between(0, 1));
    field("nsd_tolerance", s.nsdTolerance, "tolerance of the normalised surface Dice, mm", between(0, 1e3));
    field("minimum_voxels", s.minimumVoxels, "leave structures with fewer reference voxels out of the summary",
          between(0, 1e9));
}

/// What is drawn.
struct ReportSettings {
    int overlays = 3;
    bool html = true;
};

template <typename Visitor>
void visitFields(Visitor&& field, ReportSettings& s) {
    field("overlays", s.overlays, "overlay pictures a case", between(0, 1000));
    field("html", s.html, "write the HTML report", Allowed{});
}

}  // namespace medseg
