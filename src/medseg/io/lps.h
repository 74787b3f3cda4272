// DICOM, ITK, NRRD (by its usual declaration) and MetaImage count towards the patient's left and posterior.
#pragma once

#include "medseg/volume/geometry.h"

namespace medseg {

/// An affine to LPS+ millimetres as one to RAS+ millimetres, and back: the first two rows change their signs.
inline Affine lpsFlipped(Affine affine) {
    for (int row = 0; row < 2; ++row)
        for (double& value : affine[row]) value = value == 0 ? 0 : -value;
    return affine;
}

}  // namespace medseg
