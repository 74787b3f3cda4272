// Options of commands that read any image format.
#pragma once

#include "command.h"
#include "medseg/io/image_file.h"

namespace medseg::cli {

/// --series, --allow-gaps, --reference and --segments.
inline void declareReading(CLI::App& app, ReadOptions& reading) {
    app.add_option("--series", reading.series, "DICOM folder: which series, by its number in the list or its UID")
        ->type_name("N|UID");
    app.add_option("--reference", reading.reference,
                   "DICOM segmentation or structure set: the image whose grid it is put on")
        ->type_name("IMAGE");
    app.add_option("--segments", reading.segments, "DICOM segmentation or structure set: only these, by name or number")
        ->delimiter(',')
        ->type_name("NAME,...");
    app.add_flag("--allow-gaps", reading.allowGaps,
                 "DICOM series with missing slices: fill the gaps by interpolation (else they are an error)");
}

}  // namespace medseg::cli
