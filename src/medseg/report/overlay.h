// Pictures of segmentations on their images: one slice with reference, prediction and their difference side by side,
// grids of several cases, and montages of slices.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "medseg/imaging/window.h"
#include "medseg/report/canvas.h"
#include "medseg/report/slice_view.h"

namespace medseg {

/// An image with the segmentations to show on it. The pointers are not owned; reference and prediction may be null.
struct OverlayCase {
    std::string name{};  ///< for the title
    const Volume<float>* image = nullptr;
    const LabelMap* reference = nullptr;
    const LabelMap* prediction = nullptr;
    bool isOriented = true;  ///< whether the image's directions in the patient are known: else no letters, no positions
    bool isSized = true;     ///< whether its voxel size is known: else no scale bar
    /// Where they come from, for error messages.
    std::string imageFile = "image";
    std::string referenceFile = "reference";
    std::string predictionFile = "prediction";
};

struct OverlayOptions {
    ViewPlane plane = ViewPlane::Axial;
    /// Voxel index along the array axis that crosses the plane, from 0; none: the most informative slice.
    std::optional<std::int64_t> slice{};
    std::optional<Window> window{};  ///< none: automaticWindow()
    double opacity = 0.35;           ///< of the structures' colours, 0..1
    double panelSize = 320;          ///< longer side of a panel, points
};

/// Soft tissue (level 40, width 400) for images that reach below -200 as CT does, else the range between the
/// percentiles 0.5 and 99.5 of the positive voxels.
Window automaticWindow(const Volume<float>& image);

/// One picture inside a sheet.
struct OverlayPanel {
    std::string caption;
    RgbImage picture;
};

struct LegendItem {
    std::string name;
    Color color;
    std::int64_t area = 0;  ///< pixels, larger first in the legend
};

/// The panels of one case: image, reference overlay, prediction overlay and, with both, their difference.
struct OverlayRow {
    std::string name;
    std::string detail;  ///< plane, slice, position, voxel size, window
    std::vector<OverlayPanel> panels;
    std::vector<LegendItem> legend;
    double width = 0;  ///< of each panel, points
    double height = 0;
    double millimetresPerPoint = 1;  ///< 0: not known, no scale bar
    std::array<char, 4> letters{};   ///< at the left, right, top and bottom edge; 0: not known
    bool hasDifference = false;
};

/// Draws the panels of a case, so that its volumes can be freed before the sheet is composed. Throws DataError if the
/// geometries differ, UsageError if the slice is outside the volume.
OverlayRow renderOverlayRow(const OverlayCase& overlay, const OverlayOptions& options = {});

/// A sheet of rows with title, captions and the legend of all structures shown.
Canvas composeOverlays(std::span<const OverlayRow> rows, const std::string& title = "");

/// renderOverlayRow and composeOverlays for one case.
Canvas renderOverlay(const OverlayCase& overlay, const OverlayOptions& options = {});

struct MontageOptions {
    ViewPlane plane = ViewPlane::Axial;
    std::optional<Window> window{};
    double opacity = 0.35;
    int columns = 5;
    int tiles = 20;         ///< slices shown, evenly spread over the labelled part
    double tileSize = 160;  ///< longer side of a tile, points
};

/// Many slices of one case with the labels of the reference (else of the prediction) and each slice's number and
/// position. Throws as renderOverlayRow; UsageError for fewer than one column or tile.
Canvas renderMontage(const OverlayCase& overlay, const MontageOptions& options = {});

}  // namespace medseg
