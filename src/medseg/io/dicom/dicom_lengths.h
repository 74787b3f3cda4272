// A look at a DICOM file before GDCM reads it: GDCM allocates what an element claims, and descends as deep as
// sequences are nested.
#pragma once

#include <string>

#include "medseg/io/deflate.h"

namespace medseg {

/// Walks over the elements up to the pixel data. Throws DataError (naming `name`) when an element, item or fragment
/// reaches beyond the end of the file, or sequences are nested more than 32 deep. What the walk does not understand
/// (deflated data sets, vendors' own encodings) is left to GDCM.
void checkDicomLengths(ByteSpan file, const std::string& name);

}  // namespace medseg
