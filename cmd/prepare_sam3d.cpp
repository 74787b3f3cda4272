// medseg prepare --form sam3d.
#include "medseg/base/error.h"
#include "medseg/dataset/sam3d_preparation.h"
#include "prepare_forms.h"

namespace medseg::cli {

void declareSam3dOptions(CLI::App& app, Sam3dOptions& options) {
    constexpr const char* kGroup = "SAM 3D (--form sam3d)";
    app.add_option("--classes", options.classes, "Labels are 1 to N (default 5)")->type_name("N")->group(kGroup);
    app.add_option("--spacing", options.spacing, "Size of the cubic voxels, mm; 0 keeps the grid (default 3)")
        ->type_name("MM")
        ->group(kGroup);
    app.add_option("--cut-axes", options.axes, "Axes of the stored array to cut across (default 0,1,2)")
        ->delimiter(',')
        ->type_name("0,1,2")
        ->group(kGroup);
    app.add_option("--min-foreground", options.minForeground,
                   "Leave out slices with a smaller share of labelled pixels (default 0.01)")
        ->type_name("SHARE")
        ->group(kGroup);
    app.add_flag("--meshes", options.meshes, "Also surfaces, meshes/CASE_classN.obj")->group(kGroup);
    app.add_flag("--open-surfaces", options.openSurfaces, "Leave surfaces open where the volume cuts an object")
        ->group(kGroup);
    app.add_flag("--sdf-mm", options.distanceInMm, "Signed distances in mm instead of voxels")->group(kGroup);
    app.add_flag("--legacy-pointmap", options.legacyPointmap,
                 "Points from permuted indices, as the Python scripts compute them (wrong places)")
        ->group(kGroup);
}

int runSam3d(const std::string& input, const PairOptions& pairs, const Sam3dOptions& options,
             const std::string& output) {
    Sam3dSettings settings;
    settings.classes = options.classes;
    settings.spacing = options.spacing;
    settings.minForeground = options.minForeground;
    settings.meshes = options.meshes;
    settings.closeSurfaces = !options.openSurfaces;
    settings.distanceUnit = options.distanceInMm ? DistanceUnit::Millimetre : DistanceUnit::Voxel;
    settings.pointmap = options.legacyPointmap ? PointmapRule::Legacy : PointmapRule::Exact;
    settings.axes.clear();
    for (const std::string& name : options.axes) settings.axes.push_back(sam3dAxisFromName(name));
    checkSam3dSettings(settings);
    if (output.empty()) throw UsageError("give --output DIR");
    std::vector<CaseFailure> problems;
    const std::vector<PipelineCase> cases =
        input.empty() ? sam3dCases(pairsFrom(pairs, problems)) : findSam3dCases(input, problems);
    return runForm(sam3dForm(settings, output), cases, output, std::move(problems));
}

}  // namespace medseg::cli
