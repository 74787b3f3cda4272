// Options of commands that read any image format.
#pragma once

#include "command.h"
#include "medseg/io/image_file.h"

namespace medseg::cli {

/// --series and --allow-gaps.
inline void declareReading(CLI::App& app, ReadOptions& reading) {
    app.add_option("--series", reading.series, "DICOM folder: which series, by its number in the list or its UID")
        ->type_name("N|UID");
    app.add_flag("--allow-gaps", reading.allowGaps,
                 "DICOM series with missing slices: fill the gaps by interpolation (else they are an error)");
}

}  // namespace medseg::cli
