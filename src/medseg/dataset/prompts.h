// Where a user points: boxes and points on slices, from the command line, a CSV file or a label map.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "medseg/volume/geometry.h"
#include "medseg/volume/label_map.h"

namespace medseg {

struct PromptPoint {
    double x = 0;  ///< pixels; the centre of the first one is at 0
    double y = 0;
    bool inside = true;
};

/// One object on one slice: a box, points, or both.
struct Prompt {
    int label = 1;                             ///< id that its mask gets, 1..65535
    std::int64_t slice = 0;                    ///< along the third array axis
    std::optional<std::array<double, 4>> box;  ///< x0, y0, x1, y1: first and last pixel of the object
    std::vector<PromptPoint> points;
};

/// Prompts as a user writes them. Texts are numbers with commas, with "LABEL:" before them when the label is not 1.
struct PromptOptions {
    /// x0,y0,x1,y1 on pictures; x0,y0,x1,y1,z on one slice; x0,y0,z0,x1,y1,z1 on every slice from z0 to z1.
    std::vector<std::string> boxes;
    std::vector<std::string> points;   ///< x,y or x,y,z inside the object
    std::vector<std::string> exclude;  ///< x,y or x,y,z outside the object
    /// Numbers are millimetres (RAS+): boxes of six, points of three.
    bool world = false;
    /// Header line and rows; columns x0, y0, x1, y1 for a box or x, y and inside (1 or 0) for a point, and label, z and
    /// image (name of the file or case that the row is for) where needed. Empty cells are allowed.
    std::filesystem::path csv;
    /// Label map, or folder of label maps named as the images: one box for each label on each slice.
    std::filesystem::path boxesFrom;
    double margin = 0;  ///< added to boxesFrom's boxes on all sides, pixels

    bool any() const;
};

/// The prompts for an image of this grid, ordered by slice, then as given. Points join the box of their label on their
/// slice if there is exactly one. `image`: its file, for messages, CSV rows and label map folders. `table` receives the
/// names of the labels that are used (from boxesFrom where it knows them). Throws UsageError for texts that cannot be
/// read or lie outside the image, DataError for files.
std::vector<Prompt> resolvePrompts(const PromptOptions& options, const Geometry& geometry,
                                   const std::filesystem::path& image, LabelTable& table);

/// `place` itself, or the label map named as `image` in the folder `place`. Throws DataError when there is none.
std::filesystem::path labelFileFor(const std::filesystem::path& place, const std::filesystem::path& image);

/// The smallest boxes around each label on each slice, grown by `margin` within the image.
std::vector<Prompt> boxesOfLabels(const LabelMap& labels, double margin);

}  // namespace medseg
