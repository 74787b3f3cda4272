#include "medseg/pipeline/run_report.h"

#include <array>

#include <fmt/format.h>

#include "medseg/base/error.h"
#include "medseg/base/files.h"
#include "medseg/base/interrupt.h"
#include "medseg/dataset/case_reader.h"
#include "medseg/report/html_report.h"
#include "medseg/report/overlay.h"

namespace medseg {
namespace {

constexpr std::array<ViewPlane, 3> kPlanes{ViewPlane::Axial, ViewPlane::Coronal, ViewPlane::Sagittal};

/// One picture per plane, then further axial slices spread over the volume.
void drawCase(const Case& item, const Dataset& dataset, const RunFolders& folders, int pictures) {
    const Volume<float> image = readImage(item.image);
    const LabelLayers reference = readCaseLabels(dataset, item, image.geometry());
    const fs::path predictionFile = folders.predictions / (item.id + ".nii.gz");
    const LabelMap prediction = readLabelMap(predictionFile);
    OverlayCase overlay{item.id, &image, &reference.layers.front(), &prediction};
    overlay.imageFile = item.image.string();
    overlay.predictionFile = predictionFile.string();
    for (int picture = 0; picture < pictures; ++picture) {
        throwIfInterrupted();
        OverlayOptions options;
        const bool further = picture >= static_cast<int>(kPlanes.size());
        options.plane = further ? ViewPlane::Axial : kPlanes[static_cast<std::size_t>(picture)];
        if (further) {
            const int count = pictures - static_cast<int>(kPlanes.size());
            options.slice = image.nz() * (picture - static_cast<int>(kPlanes.size()) + 1) / (count + 1);
        }
        renderOverlay(overlay, options)
            .writePng(folders.report / "overlays" / fmt::format("{}_{}.png", item.id, picture + 1));
    }
}

}  // namespace

void writeRunReport(const Recipe& recipe, const RunFolders& folders, const Dataset& dataset,
                    const std::vector<Case>& cases) {
    createDirectories(folders.report);
    for (const Case& item : cases) drawCase(item, dataset, folders, recipe.report.overlays);
    if (!recipe.report.html) return;
    RunReport report = collectRunReport(folders.root);
    report.title = recipe.name;
    writeHtmlReport(folders.report / "report.html", report);
}

}  // namespace medseg
