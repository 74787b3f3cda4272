// Overlap counts of a job of several processes.
#pragma once

#include "medseg/metrics/label_overlap.h"
#include "medseg/train/data_parallel.h"

namespace medseg {

/// The sum over ranks, the same on every rank; called by all of them. Labels are 1..255.
LabelOverlap sumOverRanks(const LabelOverlap& own, DataParallel& ranks);

}  // namespace medseg
