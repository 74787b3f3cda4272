#!/usr/bin/env bash
# Every image format through info and convert; DICOM as input of other commands; bad input.
source "$(dirname "$0")/checks.sh"
need_fixtures
out="$work/out"
mkdir "$out"
place() { "$MEDSEG" info --json "$1" | grep -o '"spacing":.*"orientation":"[A-Z]*"' | sed 's/-0\.0\([],]\)/0.0\1/g'; }
values() { "$MEDSEG" info --json "$1" | grep -o '"min":.*'; }

dicom="$fixtures/totalsegmentator/example_ct_dicom"
seg="$fixtures/totalsegmentator/example_seg.nii.gz"
ct="$fixtures/totalsegmentator/example_ct_sm.nii.gz"
if ! "$MEDSEG" info "$dicom" > "$work/info" 2> "$work/stderr" && grep -q 'MEDSEG_WITH_FORMATS' "$work/stderr"; then
  echo "built without DICOM"; exit 77
fi

grep -q 'DICOM CT' "$work/info" || fail "info of a DICOM folder"
grep -q '20 files, JPEG 2000 lossless' "$work/info" || fail "notes of a DICOM folder"
for ending in nii.gz nrrd nhdr mha mhd; do
  "$MEDSEG" convert -q "$dicom" "$out/ct.$ending" || fail "DICOM to $ending"
  [ "$(place "$out/ct.$ending")" = "$(place "$dicom")" ] || fail "place in $ending: $(place "$out/ct.$ending")"
  [ "$(values "$out/ct.$ending")" = "$(values "$out/ct.nii.gz")" ] || fail "values in $ending"
done
"$MEDSEG" convert -q "$dicom" "$out/ras.nrrd" --reorient RAS --resample 2,2,4 --dtype float32 || fail "steps"
"$MEDSEG" info --json "$out/ras.nrrd" | grep -q '"orientation":"RAS","dtype":"float32"' || fail "after the steps"

# There and back, in every orientation that matters to the file's header.
for codes in RAS LPI ASL; do
  "$MEDSEG" convert -q "$ct" "$out/a.nii" --reorient "$codes" || fail "to $codes"
  for ending in nrrd mha mhd nhdr; do
    "$MEDSEG" convert -q "$out/a.nii" "$out/b.$ending" && "$MEDSEG" convert -q "$out/b.$ending" "$out/c.nii" || fail "$codes"
    cmp -s -i 352 "$out/a.nii" "$out/c.nii" || fail "$codes by way of $ending changes voxels"
    [ "$(place "$out/a.nii")" = "$(place "$out/c.nii")" ] || fail "$codes by way of $ending moves voxels"
  done
done

"$MEDSEG" convert -q "$seg" "$out/seg.seg.nrrd" || fail "to seg.nrrd"
"$MEDSEG" info --json "$out/seg.seg.nrrd" | grep -q '{"id":1,"name":"spleen","voxels":9452' || fail "segment names"
"$MEDSEG" convert -q "$out/seg.seg.nrrd" "$out/back.nii.gz" || fail "from seg.nrrd"
"$MEDSEG" info --json "$out/back.nii.gz" | grep -q '"name":"liver"' || fail "names are lost"

# Pictures hold one slice, TIFF as many as there are.
"$MEDSEG" convert -q "$seg" "$out/seg.tif" || fail "to TIFF"
[ "$(values "$out/seg.tif" | cut -d, -f1-3)" = "$(values "$seg" | cut -d, -f1-3)" ] || fail "values in TIFF"
expect_error 2 'one slice' "$MEDSEG" convert "$seg" "$out/seg.jpg"

# A segmentation of the same patient whose rows run the other way lies on the DICOM series.
"$MEDSEG" render montage "$dicom" --labels "$fixtures/totalsegmentator/example_seg_dicom.nii.gz" --slices 4 \
  --output "$out/montage.png" > /dev/null || fail "montage of DICOM"
[ "$(head -c 4 "$out/montage.png" | tail -c 3)" = PNG ] || fail "montage is no PNG"
(cd "$out" && "$MEDSEG" render montage seg.seg.nrrd > /dev/null && [ -s seg_montage.png ]) || fail "montage of segments"

# Pairs in other formats than NIfTI.
mkdir -p "$work/data/imagesTr" "$work/data/labelsTr"
"$MEDSEG" convert -q "$ct" "$work/data/imagesTr/a_0000.nrrd"
"$MEDSEG" convert -q "$seg" "$work/data/labelsTr/a.seg.nrrd"
"$MEDSEG" evaluate --reference "$work/data/labelsTr" --prediction "$work/data/labelsTr" --output "$out/eval" > "$work/eval" 2>&1 \
  || fail "evaluate: $(cat "$work/eval")"
prepare() { "$MEDSEG" prepare data.layout=pairs "${@:2}" --input "$work/data" --output "$out/cache$1" --image-size 32 > "$work/prepare" 2>&1 \
  || fail "prepare: $(cat "$work/prepare")"; }
prepare 1 data.image_suffix=_0000.nrrd data.label_suffix=.seg.nrrd
grep -q '30 slices of 1 cases' "$work/prepare" || fail "prepare from NRRD: $(cat "$work/prepare")"
rm -r "$work/data"; mkdir -p "$work/data/imagesTr" "$work/data/labelsTr"
cp -r "$dicom" "$work/data/imagesTr/a"
"$MEDSEG" convert -q "$fixtures/totalsegmentator/example_seg_dicom.nii.gz" "$work/data/labelsTr/a.mha" --reorient LPS
prepare 2 data.image_suffix= data.label_suffix=.mha data.structures="[$(seq -s, -f 's%g' 1 117)]"
grep -q '20 slices of 1 cases' "$work/prepare" || fail "prepare from DICOM: $(cat "$work/prepare")"
rm -rf "$out"; mkdir "$out"

mkdir "$work/dicom"; cp "$dicom"/* "$work/dicom"; chmod u+w "$work/dicom"/*
first=$(ls "$work/dicom" | head -n 1) middle=$(ls "$work/dicom" | sed -n 7p)
rm "$work/dicom/$middle"
expect_error 3 'uneven.*1 missing.*--allow-gaps' "$MEDSEG" convert "$work/dicom" "$out/a.nii.gz"
"$MEDSEG" convert -q --allow-gaps "$work/dicom" "$out/a.nii.gz" || fail "--allow-gaps"
"$MEDSEG" info --json "$out/a.nii.gz" | grep -q '"size":\[512,512,20\]' || fail "size with filled gaps"
rm "$out/a.nii.gz"
head -c 20000 "$dicom/$middle" > "$work/dicom/$middle"
expect_error 3 "$middle.*truncated" "$MEDSEG" convert "$work/dicom" "$out/a.nii.gz"
rm "$work/dicom/$middle"
expect_error 3 'no series 3' "$MEDSEG" convert "$work/dicom" "$out/a.nii.gz" --series 3
mkdir "$work/empty"
expect_error 3 'without DICOM' "$MEDSEG" convert "$work/empty" "$out/a.nii.gz"
expect_error 2 'read, not written' "$MEDSEG" convert "$ct" "$out/a.dcm"
for ending in nrrd mha tif; do
  "$MEDSEG" convert -q "$ct" "$work/whole.$ending"
  head -c 100000 "$work/whole.$ending" > "$work/cut.$ending"
  expect_error 3 'truncated' "$MEDSEG" info "$work/cut.$ending"
  expect_error 3 'truncated' "$MEDSEG" convert "$work/cut.$ending" "$out/a.nii.gz"
done
printf 'NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nendian: little\nencoding: raw\ndata file: /etc/passwd\n' > "$work/a.nhdr"
expect_error 3 'outside its folder' "$MEDSEG" convert "$work/a.nhdr" "$out/a.nii.gz"
printf 'NRRD0004\ntype: short\ndimension: 3\nsizes: 60000 60000 60000\nendian: little\nencoding: raw\n\nxx' > "$work/a.nrrd"
expect_error 3 'truncated' "$MEDSEG" convert "$work/a.nrrd" "$out/a.nii.gz"
expect_empty "$out"
