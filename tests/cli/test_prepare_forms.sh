#!/usr/bin/env bash
# medseg prepare --form medsam|medsam2|litemedsam: files, resuming, bad input, full disk, kill -9.
source "$(dirname "$0")/checks.sh"

succeed "$MEDSEG" phantom "$work/raw" --cases 3 --size 64,56,24 --layout nnunet --structures liver,spleen,heart
images="$work/raw/imagesTr" labels="$work/raw/labelsTr"
[ "$(ls "$images" | wc -l)" -eq 3 ] || fail "phantom: $(ls "$images")"
prepare() {  # prepare FORM OUTPUT [OPTION...]
    local form=$1 output=$2; shift 2
    "$MEDSEG" prepare --form "$form" --images "$images" --labels "$labels" --output "$output" --dust-3d "${dust:-20}" --dust-2d 3 "$@"
}
# Files of each form; the split of training and test; a second run has nothing to do.
succeed prepare medsam "$work/medsam" --train-cases 2 --npy --image-size 96 --save-nii
has_count "$work/medsam/npz_train" 'CT_Abd_s*.npz' 2
has_count "$work/medsam/npz_test" 'CT_Abd_s*.npz' 1
[ -s "$work/medsam/npz_train/CT_Abd/CT_Abd_s0000.npz" ] && [ -s "$work/medsam/npz_test/CT_Abd/CT_Abd_s0002.npz" ] || fail "$(find "$work/medsam")"
has_count "$work/medsam/npz_train/CT_Abd" '*_img.nii.gz' 2
has_count "$work/medsam/npz_test/CT_Abd" '*_gt.nii.gz' 1
for file in manifest.json contact_sheet.png npy/imgs/CT_Abd_s0000-000.npy npy/gts/CT_Abd_s0001-000.npy; do
    [ -s "$work/medsam/$file" ] || fail "no $file"
done
[ "$(count "$work/medsam/npy/imgs" '*.npy')" -eq "$(count "$work/medsam/npy/gts" '*.npy')" ] || fail "imgs and gts differ"
[ -e "$work/medsam/npy/imgs/CT_Abd_s0002-000.npy" ] && fail "slices of a test case"
"$MEDSEG" info "$work/medsam/npy/imgs/CT_Abd_s0000-000.npy" | grep -q 'float64' || fail "slices are not float64"
no_leftovers "$work/medsam"
find "$work/medsam" -type f ! -name manifest.json -exec cksum {} + | sort >"$work/before"
succeed prepare medsam "$work/medsam" --train-cases 2 --npy --image-size 96 --save-nii
grep -q '(0 prepared, 3 up to date)' "$work/stdout" || fail "$(cat "$work/stdout")"
find "$work/medsam" -type f ! -name manifest.json -exec cksum {} + | sort | cmp -s - "$work/before" || fail "a second run changed files"

# Threads do not matter; other parameters replace everything.
succeed prepare medsam "$work/one" --train-cases 2 --npy --image-size 96 --save-nii --threads 1
diff -r "$work/medsam" "$work/one" || fail "one and more threads differ"
succeed prepare medsam "$work/medsam" --train-cases 3
has_count "$work/medsam" '*.npz' 3
[ "$(count "$work/medsam" '*-*.npy')" -eq 0 ] || fail "slices of the earlier run are left"

succeed prepare litemedsam "$work/lite" --train-cases 1
has_count "$work/lite/MedSAM_train" '*.npz' 1
has_count "$work/lite/MedSAM_test" '*.npz' 2
succeed prepare medsam2 "$work/medsam2" --npy --anatomy Lung --modality CT
"$MEDSEG" info "$work/medsam2/npy/imgs/CT_Lung_s0000-000.npy" | grep -q 'uint8' || fail "slices of medsam2 are not bytes"
succeed prepare medsam2 "$work/mr" --modality MR --anatomy ''
has_count "$work/mr/npz_train" 'MR_s*.npz' 3

# Nothing left: a warning, no file, no error.
dust=1000000
succeed prepare medsam "$work/nothing"
dust=20
has_count "$work/nothing" '*.npz' 0
grep -q 'CT_Abd_s0001: no label is left' "$work/stderr" || fail "no warning: $(cat "$work/stderr")"

# Wrong options.
expect 2 'FORM|form' "$MEDSEG" prepare --form medsum --images "$images" --labels "$labels" --output "$work/bad"
expect 2 'images DIR' "$MEDSEG" prepare --form medsam --output "$work/bad"
expect 2 'output DIR' "$MEDSEG" prepare --form medsam --images "$images" --labels "$labels"
expect 2 'remove_labels: 256 is outside' prepare medsam "$work/bad" --remove-labels 256
expect 2 'width' prepare medsam "$work/bad" --window-width 0
expect 2 'litemedsam|LiteMedSAM' prepare litemedsam "$work/bad" --npy
expect 2 '/' prepare medsam "$work/bad" --anatomy ../up
expect 3 'missing: is not a folder' "$MEDSEG" prepare --form medsam --images "$work/missing" --labels "$labels" --output "$work/bad"
expect 3 'has an image' prepare medsam "$work/bad" --image-suffix _0007.nii.gz
[ -e "$work/bad" ] && fail "output of a wrong call: $(find "$work/bad")"

# A case without a label is left out with a warning, a label without an image is an error; the others are done.
cp -r "$work/raw" "$work/lonely"
images="$work/lonely/imagesTr" labels="$work/lonely/labelsTr"
rm "$labels/s0000.nii.gz"
succeed prepare medsam "$work/out"
grep -q 's0000_0000.nii.gz: has no label' "$work/stderr" || fail "no warning: $(cat "$work/stderr")"
has_count "$work/out" '*.npz' 2
rm "$images/s0001_0000.nii.gz"
expect 1 '1 of 2 cases.*s0001.nii.gz: has no image' prepare medsam "$work/out"
rm -rf "$work/out"

# Grids that differ.
cp -r "$work/raw" "$work/grid"
images="$work/grid/imagesTr" labels="$work/grid/labelsTr"
succeed "$MEDSEG" phantom "$work/other" --cases 1 --size 64,56,20 --layout nnunet --structures liver,spleen,heart
cp "$work/other/labelsTr/s0000.nii.gz" "$labels/s0001.nii.gz"
expect 1 's0001.*64x56x2[04].*64x56x2[04]' prepare medsam "$work/out"
has_count "$work/out" '*.npz' 2
no_leftovers "$work/out"
rm -rf "$work/out"

# One damaged file among fifty: the rest is done; repaired, it is all that the next run works on.
mkdir -p "$work/fifty/imagesTr" "$work/fifty/labelsTr"
for i in $(seq 10 59); do
    cp "$work/raw/imagesTr/s000$((i % 3))_0000.nii.gz" "$work/fifty/imagesTr/s00${i}_0000.nii.gz"
    cp "$work/raw/labelsTr/s000$((i % 3)).nii.gz" "$work/fifty/labelsTr/s00$i.nii.gz"
done
images="$work/fifty/imagesTr" labels="$work/fifty/labelsTr"
cp "$images/s0033_0000.nii.gz" "$work/whole"
head -c 20000 "$work/whole" >"$images/s0033_0000.nii.gz"
expect 1 '1 of 50 cases could not be prepared.*s0033_0000.nii.gz' prepare medsam "$work/out"
has_count "$work/out" '*.npz' 49
grep -q '"problem": ".*s0033_0000' "$work/out/manifest.json" || fail "the failure is not in the manifest"
cp "$work/whole" "$images/s0033_0000.nii.gz"
succeed prepare medsam "$work/out"
grep -q '(1 prepared, 49 up to date)' "$work/stdout" || fail "$(cat "$work/stdout")"
has_count "$work/out/npz_train" '*.npz' 40
no_leftovers "$work/out"
find "$work/out" -name '*.npz' | sort | xargs cksum | sed "s|$work/out||" >"$work/whole-run"

# A limit on the size of files stands for a full disk: one message, nothing of the case is left.
expect 1 'write' bash -c "ulimit -f 16; exec \"$MEDSEG\" prepare --form medsam --images \"$images\" --labels \"$labels\" --output \"$work/full\" --dust-3d 20 --dust-2d 3"
has_count "$work/full" '*.npz' 0
no_leftovers "$work/full"

# kill -9 in the middle, again and again: what is there is whole, and the last run completes it.
for delay in 0.05 0.1 0.15 0.2; do
    "$MEDSEG" prepare --form medsam --images "$images" --labels "$labels" --output "$work/killed" --dust-3d 20 --dust-2d 3 >/dev/null 2>&1 &
    process=$!
    sleep $delay
    kill -KILL $process 2>/dev/null
    wait $process 2>/dev/null
    for file in $(find "$work/killed" -name '*.npz' -not -path '*/.*'); do
        "$MEDSEG" info "$file" >/dev/null 2>&1 || fail "half-written: $file"
    done
done
succeed prepare medsam "$work/killed"
find "$work/killed" -name '*.npz' | sort | xargs cksum | sed "s|$work/killed||" | cmp -s - "$work/whole-run" ||
    fail "the completed run differs from an undisturbed one"
no_leftovers "$work/killed"

# Ctrl-C: exit 130, nothing unfinished.
"$MEDSEG" prepare --form medsam --images "$images" --labels "$labels" --output "$work/stopped" --npy >/dev/null 2>&1 &
process=$!
wait_for "$work/stopped/cases/*.json"
kill -INT $process
wait $process; code=$?
[ $code -eq 130 ] || [ $code -eq 0 ] || fail "exit $code after Ctrl-C"
no_leftovers "$work/stopped"
echo passed
