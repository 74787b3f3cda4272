// What a recipe says of a form of preparation, with the values that the official scripts use for the rest.
#pragma once

#include "medseg/dataset/label_reader.h"
#include "medseg/dataset/medsam_preparation.h"
#include "medseg/dataset/nnunet_conversion.h"
#include "medseg/dataset/sam3d_preparation.h"
#include "medseg/recipe/prepare_forms.h"

namespace medseg {

/// `form` is medsam, medsam2 or litemedsam. Throws UsageError for values that cannot be used together.
MedsamSettings medsamSettingsFrom(const std::string& form, const PrepareMedsamSettings& recipe,
                                  const LabelReader& reader);
/// Throws UsageError as checkSam3dSettings().
Sam3dSettings sam3dSettingsFrom(const PrepareSam3dSettings& recipe, const LabelReader& reader);
NnunetSettings nnunetSettingsFrom(const PrepareNnunetSettings& recipe);

}  // namespace medseg
