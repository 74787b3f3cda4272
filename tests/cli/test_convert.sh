#!/usr/bin/env bash
# medseg convert: every format, orientation, spacing, type; labels keep their names.
source "$(dirname "$0")/checks.sh"
need_fixtures
out="$work/out"
mkdir "$out"
facts() { "$MEDSEG" info --json "$1" | grep -o '"min":.*'; }
same_values() { [ "$(facts "$1")" = "$(facts "$2")" ] || fail "$1 and $2 differ: $(facts "$1") $(facts "$2")"; }

ct="$fixtures/totalsegmentator/example_ct_sm.nii.gz"
for ending in nii nii.gz hdr img.gz npy npz; do
  "$MEDSEG" convert -q "$ct" "$out/ct.$ending" || fail "to $ending"
done
same_values "$ct" "$out/ct.nii"
same_values "$ct" "$out/ct.img.gz"
same_values "$ct" "$out/ct.npy"
gzip -t "$out/ct.nii.gz" || fail "gzip cannot read the output"
[ "$(zcat "$out/ct.nii.gz" | sha256sum)" = "$(sha256sum < "$out/ct.nii")" ] || fail "compressed and plain differ"

"$MEDSEG" convert -q "$ct" "$out/lpi.nii.gz" --reorient LPI || fail "--reorient"
"$MEDSEG" info --json "$out/lpi.nii.gz" | grep -q '"orientation":"LPI"' || fail "orientation"
same_values "$ct" "$out/lpi.nii.gz"
"$MEDSEG" convert -q "$out/lpi.nii.gz" "$out/back.nii" --reorient RAS || fail "back"
cmp -s "$out/back.nii" "$out/ct.nii" || fail "reorienting there and back changes the file"

"$MEDSEG" convert -q "$ct" "$out/fine.nii.gz" --resample 1.5 --dtype float32 || fail "--resample"
"$MEDSEG" info --json "$out/fine.nii.gz" | grep -q '"size":\[244,202,60\].*"dtype":"float32"' || fail "resampled size"
"$MEDSEG" convert -q "$ct" "$out/slab.nii.gz" --resample 3,3,6 || fail "--resample x,y,z"
"$MEDSEG" info --json "$out/slab.nii.gz" | grep -q '"size":\[122,101,15\].*"dtype":"int16"' || fail "slab size"

seg="$fixtures/totalsegmentator/example_seg.nii.gz"
"$MEDSEG" convert -q "$seg" "$out/seg.nii.gz" --reorient LPS || fail "labels"
"$MEDSEG" info --json "$out/seg.nii.gz" | grep -q '{"id":1,"name":"spleen","voxels":9452' || fail "label names are lost"
"$MEDSEG" convert -q "$seg" "$out/seg2.nii.gz" --resample 2 || fail "resampled labels"
"$MEDSEG" info --json "$out/seg2.nii.gz" | grep -q '"name":"liver"' || fail "resampled label names"

"$MEDSEG" convert -q "$seg" "$out/masks" --separate || fail "--separate"
"$MEDSEG" info --json "$out/masks/spleen.nii.gz" | grep -q '"id":1,"name":"label_1","voxels":9452' || fail "separate mask: $("$MEDSEG" info --json "$out/masks/spleen.nii.gz")"
[ "$(ls "$out/masks" | wc -l)" -eq "$("$MEDSEG" info --json "$seg" | grep -o '"id":' | wc -l)" ] || [ -s "$out/masks/liver.nii.gz" ] || fail "separate masks: $(ls "$out/masks")"
"$MEDSEG" convert -q "$seg" "$out/coarse" --separate --ending .nrrd --resample 6 || fail "--separate with steps"
"$MEDSEG" info --json "$out/coarse/liver.nrrd" | grep -q '"spacing":\[6' || fail "resampled mask"

"$MEDSEG" convert -q "$fixtures/odd/be_int16_slope.nii.gz" "$out/scaled.nii" || fail "scaled"
"$MEDSEG" info --json "$out/scaled.nii" | grep -q '"dtype":"float32".*"min":-993.0' || fail "scaling is not applied"
"$MEDSEG" convert -q "$fixtures/odd/four_d_int16.nii.gz" "$out/one.nii.gz" --volume 2 || fail "--volume"
rm -rf "$out"; mkdir "$out"

expect_error 3 '5 volumes' "$MEDSEG" convert "$fixtures/odd/four_d_int16.nii.gz" "$out/a.nii.gz"
expect_error 3 'RGB' "$MEDSEG" convert "$fixtures/odd/rgb24.nii.gz" "$out/a.nii.gz"
expect_error 2 'ending' "$MEDSEG" convert "$ct" "$out/a.gif"
expect_error 2 'orientation' "$MEDSEG" convert "$ct" "$out/a.nii" --reorient RAX
expect_error 2 'type' "$MEDSEG" convert "$ct" "$out/a.nii" --dtype int12
expect_error 2 'ending' "$MEDSEG" convert "$seg" "$out/masks" --separate --ending .gif
expect_error 3 'labels|negative|fraction|label' "$MEDSEG" convert "$ct" "$out/masks" --separate
expect_error 2 'spacing' "$MEDSEG" convert "$ct" "$out/a.nii" --resample 1,2
expect_error 2 'one slice' "$MEDSEG" convert "$seg" "$out/a.png"
expect_empty "$out"
