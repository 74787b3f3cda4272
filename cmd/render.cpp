// medseg render: pictures and pages of images, segmentations and runs.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/base/progress.h"
#include "medseg/imaging/window.h"
#include "medseg/io/image_file.h"
#include "medseg/pipeline/preparation_stage.h"
#include "medseg/recipe/recipe.h"
#include "medseg/report/history_plot.h"
#include "medseg/report/html_report.h"
#include "medseg/report/overlay_files.h"
#include "medseg/report/patch_overlay.h"
#include "medseg/report/prepared_files.h"
#include "medseg/report/scene_html.h"
#include "medseg/report/slice_overlay.h"
#include "render_explain.h"

namespace medseg::cli {
namespace {

struct Options {
    std::string image, reference, prediction, input, output;
    std::string axis = "axial", slice = "auto", window = "auto", title;
    LabelChoice labels;
    OverlayOptions overlay;
    MontageOptions montage;
    SceneOptions scene;
    int cases = 8;
    std::vector<std::string> overrides;
    int rows = 3, changes = 4;
    ExplainOptions explain;
};

std::optional<Window> windowFrom(const std::string& text) {
    if (text == "auto") return std::nullopt;
    const std::size_t comma = text.find(',');
    if (comma == std::string::npos) return parseWindow(text);
    double low = 0, high = 0;
    if (!CLI::detail::lexical_cast(text.substr(0, comma), low) ||
        !CLI::detail::lexical_cast(text.substr(comma + 1), high) || !(low < high))
        throw UsageError(fmt::format("--window {}: give LOW,HIGH with LOW below HIGH, e.g. -160,240", text));
    return Window::fromRange(low, high);
}

std::optional<std::int64_t> sliceFrom(const std::string& text) {
    if (text == "auto") return std::nullopt;
    try {
        std::size_t end = 0;
        const std::int64_t slice = std::stoll(text, &end);
        if (end == text.size()) return slice;
    } catch (const std::exception&) {  // not a number: reported below
    }
    throw UsageError(fmt::format("--slice {}: give a voxel index from 0, or auto", text));
}

void printPath(const std::string& path) {
    fmt::print("{}\n", path);
}

OverlayFiles singleCase(const Options& options) {
    const auto cases = findOverlayFiles(options.image, options.reference, options.prediction);
    if (cases.size() > 1)
        throw UsageError(fmt::format("--image {}: holds {} images: give one file, or use `medseg render grid`",
                                     options.image, cases.size()));
    return cases.front();
}

OverlayOptions overlayOptions(const Options& options) {
    OverlayOptions overlay = options.overlay;
    overlay.plane = viewPlaneFromName(options.axis);
    overlay.slice = sliceFrom(options.slice);
    overlay.window = windowFrom(options.window);
    return overlay;
}

void runOverlay(const Options& options) {
    const LoadedCase loaded(singleCase(options), options.labels);
    renderOverlay(loaded.overlay(), overlayOptions(options)).writePng(options.output);
    printPath(options.output);
}

void runGrid(const Options& options) {
    const auto cases = findOverlayFiles(options.image, options.reference, options.prediction);
    const std::size_t count = std::min(cases.size(), static_cast<std::size_t>(options.cases));
    std::vector<OverlayRow> rows;
    Progress progress("drawing", static_cast<std::int64_t>(count), "cases");
    for (std::size_t i = 0; i < count; ++i) {
        rows.push_back(renderOverlayRow(LoadedCase(cases[i], options.labels).overlay(), overlayOptions(options)));
        progress.advance();
    }
    progress.finish();
    composeOverlays(rows, options.title).writePng(options.output);
    printPath(options.output);
}

void runMontage(const Options& options) {
    MontageOptions montage = options.montage;
    montage.plane = viewPlaneFromName(options.axis);
    montage.opacity = options.overlay.opacity;
    montage.window = windowFrom(options.window);
    if (options.image.empty()) throw UsageError("montage needs an image: see `medseg render montage --help`");
    if (options.reference.empty() && options.prediction.empty())
        if (const std::optional<PreparedPicture> prepared = readPreparedFile(options.image)) {
            const std::string output = options.output.empty() ? prepared->name + "_montage.png" : options.output;
            if (!montage.window) montage.window = prepared->window;
            renderMontage(prepared->overlay(), montage).writePng(output);
            return printPath(output);
        }
    OverlayFiles files = singleCase(options);
    // A segmentation alone shows its labels.
    if (files.reference.empty() && files.prediction.empty() && !readImageHeader(files.image).labels.empty())
        files.reference = files.image;
    const LoadedCase loaded(files, options.labels);
    const std::string output = options.output.empty() ? files.name + "_montage.png" : options.output;
    renderMontage(loaded.overlay(), montage).writePng(output);
    printPath(output);
}

void runCurves(const Options& options) {
    writeTrainingHistoryPlot(options.output, readTrainingHistory(options.input));
    printPath(options.output);
}

/// A cache folder with default settings, or a recipe with the cache it prepared; then the overrides.
void runAugmentations(const Options& options) {
    const bool isCache = std::filesystem::is_directory(options.input);
    const Recipe recipe = loadRecipe(isCache ? std::string() : options.input, options.overrides);
    const std::filesystem::path cache = isCache ? std::filesystem::path(options.input) : preparedFolder(recipe);
    const bool volumes = std::filesystem::exists(VolumeCachePaths{cache}.manifest());
    if (!volumes && !std::filesystem::exists(cache / "cache.json"))
        throw DataError(cache.string(), "no training slices here: run `medseg prepare` first");
    const auto& [x, y, z] = recipe.model.patchSize;
    const Canvas sheet = volumes ? renderPatchAugmentations(VolumeCache(cache), {x, y, z}, recipe.augmentation,
                                                            recipe.seed, options.rows, options.changes)
                                 : renderAugmentations(SliceCache(cache), recipe.augmentation, recipe.seed,
                                                       options.rows, options.changes);
    sheet.writePng(options.output);
    printPath(options.output);
}

void runExplanation(const Options& options) {
    OverlayOptions overlay = options.overlay;
    overlay.slice = sliceFrom(options.slice);
    overlay.window = windowFrom(options.window);
    runExplain(options.explain, options.image, overlay, options.output);
}

void runHtml(const Options& options) {
    RunReport report = collectRunReport(options.input);
    if (!options.title.empty()) report.title = options.title;
    const std::string output =
        options.output.empty() ? (std::filesystem::path(options.input) / "report.html").string() : options.output;
    writeHtmlReport(output, report);
    printPath(output);
}

void runScene(const Options& options) {
    if (options.reference.empty() && options.prediction.empty())
        throw UsageError("a scene needs --reference or --prediction: see `medseg render scene --help`");
    const std::string& main = options.reference.empty() ? options.prediction : options.reference;
    const SegmentationPair labels = readSegmentations(options.reference, options.prediction, options.labels);
    Scene scene = makeScene(labels.reference ? &*labels.reference : nullptr,
                            labels.prediction ? &*labels.prediction : nullptr, options.scene);
    scene.title = options.title.empty() ? caseNameOf(main) : options.title;
    scene.detail = (labels.reference ? labels.reference : labels.prediction)->geometry().describe();
    writeSceneHtml(options.output, scene, options.scene);
    printPath(options.output);
}

void declareLabels(CLI::App& app, Options& options) {
    app.add_option("--structures", options.labels.structures, "Show only these, by name or id (default: all)")
        ->delimiter(',')
        ->type_name("NAME,...");
    app.add_option("--label-names", options.labels.nameList, "Names for label maps that carry none: totalsegmentator")
        ->type_name("LIST");
}

void declareCaseInputs(CLI::App& app, Options& options, bool several) {
    app.add_option("--image", options.image,
                   several ? "Folder of images, or of case folders with ct.nii.gz; or one image"
                           : "Image, or case folder with ct.nii.gz")
        ->required()
        ->type_name("PATH");
    app.add_option(
           "--reference", options.reference,
           several ? "Folder with the reference of each case, by name" : "Reference: label map, or folder of masks")
        ->type_name("PATH");
    app.add_option(
           "--prediction", options.prediction,
           several ? "Folder with the prediction of each case, by name" : "Prediction: label map, or folder of masks")
        ->type_name("PATH");
    app.add_option("--output", options.output, "Picture to write")->required()->type_name("FILE.png");
}

void declareLook(CLI::App& app, Options& options) {
    app.add_option("--axis", options.axis, "View: patient's right on the left (sagittal: anterior on the left)")
        ->type_name("axial|coronal|sagittal");
    app.add_option(
           "--window", options.window,
           "Shown intensities: a name (soft-tissue, lung, bone, brain, mediastinum, liver), LEVEL/WIDTH or LOW,HIGH "
           "in HU; auto: soft-tissue for CT, else percentiles")
        ->type_name("WINDOW");
    app.add_option("--opacity", options.overlay.opacity, "Opacity of the structures' colours, 0 to 1")
        ->check(CLI::Range(0.0, 1.0).description(""))
        ->type_name("X");
    declareLabels(app, options);
}

void declareSlice(CLI::App& app, Options& options) {
    app.add_option("--slice", options.slice, "Voxel index across the view, from 0; auto: the slice that shows most")
        ->type_name("N|auto");
    app.add_option("--panel-size", options.overlay.panelSize, "Longer side of a panel, points of two pixels")
        ->check(CLI::Range(40.0, 2000.0).description(""))
        ->type_name("POINTS");
}

/// A subcommand: declares its options and remembers what to run when it is chosen.
struct Subcommands {
    CLI::App& app;
    std::shared_ptr<Options> options = std::make_shared<Options>();
    std::vector<std::pair<CLI::App*, void (*)(const Options&)>> entries{};

    CLI::App& add(const char* name, const char* summary, void (*run)(const Options&)) {
        CLI::App* sub = app.add_subcommand(name, summary);
        sub->fallthrough();
        entries.emplace_back(sub, run);
        return *sub;
    }
};

std::function<int()> declareRender(CLI::App& app) {
    Subcommands commands{app};
    Options& options = *commands.options;

    CLI::App& overlay =
        commands.add("overlay", "One slice: image, reference, prediction and their difference (PNG)", runOverlay);
    declareCaseInputs(overlay, options, false);
    declareSlice(overlay, options);
    declareLook(overlay, options);
    overlay.footer(
        "Example: medseg render overlay --image ct.nii.gz --reference labels.nii.gz --prediction pred.nii.gz "
        "--axis coronal --window bone --output overlay.png");

    CLI::App& grid = commands.add("grid", "The same for several cases, one below the other (PNG)", runGrid);
    declareCaseInputs(grid, options, true);
    declareSlice(grid, options);
    declareLook(grid, options);
    grid.add_option("--cases", options.cases, "Most cases to show, in order of their names")
        ->check(CLI::Range(1, 40).description(""))
        ->type_name("N");
    grid.add_option("--title", options.title, "Heading")->type_name("TEXT");
    grid.footer(
        "Example: medseg render grid --image data --reference data --prediction out/predictions --output grid.png");

    CLI::App& montage = commands.add("montage", "Many slices of one case with its labels (PNG)", runMontage);
    montage
        .add_option("image,--image", options.image,
                    "Any image file, DICOM folder, case folder with ct.nii.gz, or file that `medseg prepare` wrote "
                    "(with its labels)")
        ->type_name("IMAGE");
    montage.add_option("--labels,--reference", options.reference, "Labels to show: any label file, or folder of masks")
        ->type_name("PATH");
    montage.add_option("--prediction", options.prediction, "Labels to show where there is no reference")
        ->type_name("PATH");
    montage.add_option("--output", options.output, "Picture to write (default: NAME_montage.png here)")
        ->type_name("FILE.png");
    montage.add_option("--columns", options.montage.columns, "Slices side by side")
        ->check(CLI::Range(1, 50).description(""))
        ->type_name("N");
    montage.add_option("--slices", options.montage.tiles, "Slices to show, evenly spread over the labelled part")
        ->check(CLI::Range(1, 1000).description(""))
        ->type_name("N");
    montage.add_option("--tile-size", options.montage.tileSize, "Longer side of a slice, points of two pixels")
        ->check(CLI::Range(20.0, 2000.0).description(""))
        ->type_name("POINTS");
    declareLook(montage, options);
    montage.footer("Example: medseg render montage ct_dicom --labels labels.nii.gz --columns 6 --output montage.png");

    CLI::App& curves = commands.add("curves", "Training curves from training_history.json (PNG)", runCurves);
    curves.add_option("history", options.input, "training_history.json of a run")->required()->type_name("FILE.json");
    curves.add_option("--output", options.output, "Picture to write")->required()->type_name("FILE.png");
    curves.footer("Example: medseg render curves run/training_history.json --output curves.png");

    CLI::App& changes = commands.add("augmentations", "Training slices as the recipe's augmentation changes them (PNG)",
                                     runAugmentations);
    changes.add_option("input", options.input, "Recipe whose slices are prepared, or a folder of prepared slices")
        ->required()
        ->type_name("RECIPE|CACHE");
    changes.add_option("output", options.output, "Picture to write")->required()->type_name("FILE.png");
    changes.add_option("overrides", options.overrides, "Values that win: augmentation.elastic=0.03")
        ->type_name("key=value ...");
    changes.add_option("--rows", options.rows, "Slices to show")
        ->check(CLI::Range(1, 40).description(""))
        ->type_name("N");
    changes.add_option("--changes", options.changes, "Changed versions of each")
        ->check(CLI::Range(1, 12).description(""))
        ->type_name("N");
    changes.footer(
        "Example: medseg render augmentations recipe.yaml augmentations.png augmentation.elastic=0.03 "
        "augmentation.blur=1.5");

    CLI::App& explain =
        commands.add("explain", "Where a network looks for a structure, as heat over a slice (PNG)", runExplanation);
    declareExplain(explain, options.explain);
    explain.add_option("--image", options.image, "Image, or case folder with ct.nii.gz")->required()->type_name("PATH");
    explain.add_option("--output", options.output, "Picture to write")->required()->type_name("FILE.png");
    declareSlice(explain, options);
    explain.add_option("--window", options.window, "Shown intensities, as in `medseg render overlay`")
        ->type_name("WINDOW");
    explain.footer(
        "Without --slice: the slice on which the model finds most of the structure.\n\n"
        "Example: medseg render explain liver --model out/unet117/model --image ct.nii.gz --output liver.png");

    CLI::App& page =
        commands.add("html", "Report of a run: curves, sortable tables, pictures, in one offline file (HTML)", runHtml);
    page.add_option("run", options.input, "Output folder of a run")->required()->type_name("DIR");
    page.add_option("--output", options.output, "Page to write (default: DIR/report.html)")->type_name("FILE.html");
    page.add_option("--title", options.title, "Heading")->type_name("TEXT");
    page.footer("Example: medseg render html run --output report.html");

    CLI::App& scene =
        commands.add("scene", "Structures in 3D, reference against prediction, in one offline file (HTML)", runScene);
    scene.add_option("--reference", options.reference, "Label map, or folder of masks")->type_name("PATH");
    scene.add_option("--prediction", options.prediction, "Label map, or folder of masks")->type_name("PATH");
    scene.add_option("--output", options.output, "Page to write")->required()->type_name("FILE.html");
    scene.add_option("--title", options.title, "Heading (default: the file's name)")->type_name("TEXT");
    scene
        .add_option("--smoothing", options.scene.smoothingPasses,
                    "Smoothing passes over the surfaces (they do not shrink); 0: voxel steps show")
        ->check(CLI::Range(0, 200).description(""))
        ->type_name("N");
    scene
        .add_option("--triangles", options.scene.mostTriangles, "Surfaces are coarsened to at most this many triangles")
        ->check(CLI::Range(1000, 50'000'000).description(""))
        ->type_name("N");
    declareLabels(scene, options);
    scene.footer("Example: medseg render scene --reference labels.nii.gz --prediction pred.nii.gz --output scene.html");

    app.require_subcommand(1);
    app.footer(
        "`medseg render overlay --help` lists the options of a picture. Printed on success: the path of the file.\n"
        "Example: medseg render overlay --image ct.nii.gz --reference labels.nii.gz --output overlay.png");
    return [commands] {
        for (const auto& [sub, run] : commands.entries)
            if (sub->parsed()) run(*commands.options);
        return static_cast<int>(ExitCode::Done);
    };
}

}  // namespace

MEDSEG_COMMAND(render, "Draw overlays, montages, training curves, run reports and 3D scenes", declareRender);

}  // namespace medseg::cli
