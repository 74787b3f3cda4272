#!/usr/bin/env bash
# medseg phantom: layouts, reproducibility, refusals, Ctrl-C, full disk.
source "$(dirname "$0")/checks.sh"
small="--size 40,32,24 --seed 4"

succeed "$MEDSEG" phantom "$work/a" --cases 2 $small
grep -q "^2 cases in $work/a" "$work/stdout" || fail "$(cat "$work/stdout")"
for file in s0000/ct.nii.gz s0001/segmentations/liver.nii.gz s0001/segmentations/vertebrae_T10.nii.gz phantom.json; do
    [ -s "$work/a/$file" ] || fail "no $file"
done
no_leftovers "$work/a"

# The same seed gives the same files, whatever the threads; another seed others.
succeed "$MEDSEG" phantom "$work/b" --cases 2 $small --threads 1
diff -r "$work/a" "$work/b" || fail "runs with one seed differ"
succeed "$MEDSEG" phantom "$work/c" --cases 1 --size 40,32,24 --seed 5
cmp -s "$work/a/s0000/ct.nii.gz" "$work/c/s0000/ct.nii.gz" && fail "two seeds give one patient"

succeed "$MEDSEG" phantom "$work/n" --cases 1 $small --layout nnunet --structures heart,liver
[ -s "$work/n/imagesTr/s0000_0000.nii.gz" ] && [ -s "$work/n/labelsTr/s0000.nii.gz" ] || fail "nnunet layout"
tr -d ' \n' <"$work/n/dataset.json" | grep -q '"labels":{"background":0,"liver":1,"heart":2}' || fail "$(cat "$work/n/dataset.json")"
succeed "$MEDSEG" phantom "$work/s" --cases 1 $small --spacing 5 --structures liver
[ "$(ls "$work/s/s0000/segmentations")" = liver.nii.gz ] || fail "structures"

# What cannot be.
expect 2 'did you mean "liver"' "$MEDSEG" phantom "$work/x" --structures livr
expect 2 '8 to 1024' "$MEDSEG" phantom "$work/x" --size 2,2,2
expect 2 '\-\-size' "$MEDSEG" phantom "$work/x" --size 20
expect 2 '\-\-spacing' "$MEDSEG" phantom "$work/x" --spacing -1
expect 2 '\-\-body-scale' "$MEDSEG" phantom "$work/x" --body-scale 2
expect 2 'body scale 3' "$MEDSEG" phantom "$work/x" --body-scale 1,1,3
expect 2 'layout' "$MEDSEG" phantom "$work/x" --layout dicom
expect 2 'cases' "$MEDSEG" phantom "$work/x" --cases 0
[ -e "$work/x" ] && fail "a refused call wrote something"
mkdir -p "$work/real/s0000"
echo "a real patient" >"$work/real/s0000/ct.nii.gz"
expect 1 's0000: exists and is no phantom' "$MEDSEG" phantom "$work/real"
grep -q "a real patient" "$work/real/s0000/ct.nii.gz" || fail "foreign data was touched"
echo text >"$work/file"
expect 1 'file' "$MEDSEG" phantom "$work/file/out" --cases 1 $small

# A limit on the size of files stands for a full disk.
expect 1 'ct.nii.gz' bash -c "ulimit -f 8; exec \"$MEDSEG\" phantom \"$work/full\" --cases 1 --size 96,80,40"
no_leftovers "$work/full"
[ -e "$work/full/s0000" ] && fail "a partial case stayed"

# Ctrl-C: finished cases stay whole, nothing else does.
"$MEDSEG" phantom "$work/i" --cases 500 --size 64,48,32 >/dev/null 2>"$work/stderr" &
process=$!
wait_for "$work/i/s0000/ct.nii.gz"
kill -INT $process
code=0
wait $process || code=$?
[ "$code" -eq 130 ] || fail "exit $code after Ctrl-C: $(cat "$work/stderr")"
no_leftovers "$work/i"
masks=$(ls "$work/a/s0000/segmentations" | wc -l)
for folder in "$work"/i/s*; do
    [ "$(ls "$folder/segmentations" | wc -l)" -eq "$masks" ] || fail "$folder is not whole"
done
echo passed
