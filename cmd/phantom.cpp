// medseg phantom: labelled synthetic torso CT cases.
#include <array>
#include <memory>

#include <fmt/format.h>

#include "command.h"
#include "medseg/base/error.h"
#include "medseg/dataset/phantom_files.h"

namespace medseg::cli {
namespace {

struct Options {
    std::string output;
    PhantomSettings phantom;
    std::vector<std::int64_t> size;
    std::vector<double> spacing;
    std::vector<double> bodyScale;
    std::string layout = "totalsegmentator";
};

PhantomSettings settingsFrom(const Options& options) {
    PhantomSettings settings = options.phantom;
    if (options.size.size() == 3) settings.size = {options.size[0], options.size[1], options.size[2]};
    if (options.spacing.size() == 1) settings.spacing = {options.spacing[0], options.spacing[0], options.spacing[0]};
    if (options.spacing.size() == 3) settings.spacing = {options.spacing[0], options.spacing[1], options.spacing[2]};
    for (const double mm : options.spacing)
        if (mm <= 0) throw UsageError(fmt::format("--spacing {}: give millimetres above 0", mm));
    if (options.spacing.size() == 2) throw UsageError("--spacing: give one number, or three as X,Y,Z");
    if (options.bodyScale.size() == 3)
        settings.bodyScale = {options.bodyScale[0], options.bodyScale[1], options.bodyScale[2]};
    else if (!options.bodyScale.empty())
        throw UsageError("--body-scale: give three numbers as X,Y,Z");
    if (!options.size.empty() && options.size.size() != 3) throw UsageError("--size: give three numbers as X,Y,Z");
    return settings;
}

int run(const Options& options) {
    const auto ids = writePhantom(settingsFrom(options), phantomLayoutFromName(options.layout), options.output);
    fmt::print("{} cases in {}\n", ids.size(), options.output);
    return static_cast<int>(ExitCode::Done);
}

std::function<int()> declare(CLI::App& app) {
    auto options = std::make_shared<Options>();
    app.add_option("output", options->output, "Folder for the cases")->required()->type_name("OUT");
    app.add_option("--cases", options->phantom.cases, "Number of patients")->type_name("N");
    app.add_option("--seed", options->phantom.seed, "Same seed, same patients")->type_name("N");
    app.add_option("--size", options->size, "Voxels along x, y, z (default 160,128,96)")
        ->delimiter(',')
        ->type_name("X,Y,Z");
    app.add_option("--spacing", options->spacing,
                   "Voxel size in mm; without it the image spans the trunk, 400 x 320 x 384 mm")
        ->delimiter(',')
        ->type_name("MM|X,Y,Z");
    app.add_option("--body-scale", options->bodyScale,
                   "Size of all patients along x, y, z, 0.5 to 2 (default 1,1,1): another population")
        ->delimiter(',')
        ->type_name("X,Y,Z");
    app.add_option("--noise", options->phantom.noise, "Standard deviation of the noise in soft tissue, HU")
        ->type_name("HU");
    app.add_option("--layout", options->layout,
                   "totalsegmentator: s0000/ct.nii.gz with segmentations/NAME.nii.gz; nnunet: imagesTr, labelsTr")
        ->type_name("NAME");
    app.add_option("--structures", options->phantom.structures,
                   "Structures to label, TotalSegmentator names (default: all)")
        ->delimiter(',')
        ->type_name("NAME,...");
    app.footer("Example: medseg phantom data --cases 12 --seed 7 --size 128,104,64");
    return [options] { return run(*options); };
}

}  // namespace

MEDSEG_COMMAND(phantom, "Write labelled synthetic torso CT cases", declare);

}  // namespace medseg::cli
