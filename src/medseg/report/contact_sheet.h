// A picture of a preparation run: a few slices of many cases with their labels, to see at a glance what went wrong.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "medseg/dataset/case_pipeline.h"
#include "medseg/dataset/slice_cache.h"
#include "medseg/report/canvas.h"

namespace medseg {

/// One case; slices are shown as they lie in the file, row 0 on top.
struct ContactSheetRow {
    std::string title;
    std::string detail;
    CasePreview preview;
};

/// Rows of slices, each slice once plain and once with its labels in the colours of labelColor(), and the labels with
/// their colours below, by name where `names` has them.
Canvas composeContactSheet(const std::vector<ContactSheetRow>& rows, const std::string& title,
                           const LabelTable& names = {});

/// Writes the sheet of a run as PNG: at most `mostCases` of the finished cases, evenly spread over the run. Writes
/// nothing when no case has a preview. Returns whether it wrote. Throws WorkError.
bool writeContactSheet(const std::filesystem::path& path, const std::filesystem::path& output,
                       const CasePipelineResult& result, const std::string& title, const LabelTable& names = {},
                       std::size_t mostCases = 24);

/// The same of the U-Net's slices, the patient's right on the left. Throws WorkError.
void writeContactSheet(const std::filesystem::path& path, const SliceCache& cache, std::size_t mostCases = 24);

}  // namespace medseg
