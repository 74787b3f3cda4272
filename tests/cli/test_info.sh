#!/usr/bin/env bash
# medseg info: contract of --json, several files, formats, and start-up time.
source "$(dirname "$0")/checks.sh"
need_fixtures

"$MEDSEG" info --json "$fixtures/odd/be_int16_slope.nii.gz" > "$work/one.json" || fail "info"
for key in path format size shape spacing affine orientation dtype min max mean; do
  grep -q "\"$key\":" "$work/one.json" || fail "key $key is missing"
done
grep -q '"size":\[40,36,20\]' "$work/one.json" || fail "size"
grep -q '"min":-993.0' "$work/one.json" || fail "minimum after scaling"
grep -q '"labels"' "$work/one.json" && fail "a CT is no label map"

seg="$fixtures/totalsegmentator/example_seg.nii.gz"
"$MEDSEG" info --json "$seg" | grep -q '{"id":1,"name":"spleen","voxels":9452,"volume_ml":255.20' || fail "labels"
"$MEDSEG" info "$seg" | grep -q 'spleen .* 9452' || fail "labels for people"

lines=$("$MEDSEG" info --json "$seg" "$fixtures/odd/pair_uint16.hdr" "$fixtures/odd/pair_uint16.img" | wc -l)
[ "$lines" -eq 3 ] || fail "one line for each file, got $lines"

"$MEDSEG" info --json --volume 2 "$fixtures/odd/four_d_int16.nii.gz" > "$work/volume.json" || fail "--volume"
"$MEDSEG" info --json "$fixtures/odd/four_d_int16.nii.gz" > "$work/all.json" || fail "4D"
grep -q '"shape":\[32,28,14,5\]' "$work/all.json" || fail "4D shape"
cmp -s "$work/volume.json" "$work/all.json" && fail "--volume changes nothing"
expect_error 3 'no volume 5' "$MEDSEG" info --volume 5 "$fixtures/odd/four_d_int16.nii.gz"

expect_error 3 'RGB' "$MEDSEG" info --json "$fixtures/odd/rgb24.nii.gz"
grep -q '"dtype":"rgb24"' "$work/stdout" || fail "header facts of an RGB file"
expect_error 3 'no such file' "$MEDSEG" info "$work/missing.nii.gz"
expect_error 3 'directory without DICOM' "$MEDSEG" info "$work"
expect_error 2 'required' "$MEDSEG" info

start=$(date +%s%N)
for _ in 1 2 3 4 5 6 7 8 9 10; do "$MEDSEG" --help > /dev/null || fail "--help"; done
echo "--help: $(( ($(date +%s%N) - start) / 10000000 )) ms each"
