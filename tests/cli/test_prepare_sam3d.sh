#!/usr/bin/env bash
# medseg prepare --form sam3d: marked files, pairs, case folders; resuming, bad input, full disk, kill -9.
source "$(dirname "$0")/checks.sh"

succeed "$MEDSEG" phantom "$work/raw" --cases 3 --size 40,36,20 --layout nnunet --structures liver,spleen,heart
# marked FOLDER CASE SOURCE: the case under the names of the scripts.
marked() {
    mkdir -p "$1/$2"
    cp "$work/raw/imagesTr/s000$3_0000.nii.gz" "$1/$2/$2-image.nii.gz"
    cp "$work/raw/labelsTr/s000$3.nii.gz" "$1/$2/$2-label.nii.gz"
}
for i in 0 1 2; do marked "$work/marked" "s000$i" $i; done
bare() { local input=$1 output=$2; shift 2; "$MEDSEG" prepare --form sam3d --input "$input" --output "$output" "$@"; }
prepare() { bare "$@" --classes 3 --spacing 12; }
results=('*.npz' '*_sdf.npy' '*.obj')

# Files under the scripts' names; a second run has nothing to do; threads do not matter.
succeed prepare "$work/marked" "$work/out" --meshes
grep -q '3 cases' "$work/stdout" || fail "$(cat "$work/stdout")"
for file in s0000.nii_sdf.npy meshes/s0001.nii_class2.obj manifest.json contact_sheet.png recipe.yaml; do
    [ -s "$work/out/$file" ] || fail "no $file: $(ls "$work/out")"
done
for axis in 0 1 2; do [ "$(count "$work/out" "s0002.nii_axis${axis}_slice*.npz")" -gt 3 ] || fail "no slices across $axis"; done
slice=$(ls "$work/out"/s0000.nii_axis2_slice*.npz | head -n 1)
"$MEDSEG" info "$slice" >"$work/info" || fail "info of a slice"
for array in 'image .*float32' 'mask .*uint8' 'pointmap .*float32' 'affine .*float64' 'slice_idx .*int64' 'axis .*int64' 'gt_sdf_path'; do
    grep -qE "$array" "$work/info" || fail "no $array: $(cat "$work/info")"
done
no_leftovers "$work/out"
find "$work/out" -type f ! -name manifest.json -exec cksum {} + | sort >"$work/before"
succeed prepare "$work/marked" "$work/out" --meshes
grep -q '(0 prepared, 3 up to date)' "$work/stdout" || fail "$(cat "$work/stdout")"
find "$work/out" -type f ! -name manifest.json -exec cksum {} + | sort | cmp -s - "$work/before" || fail "a second run changed files"
mv "$work/out" "$work/kept"
succeed prepare "$work/marked" "$work/out" --meshes --threads 1
[ "$(sums "$work/kept" "${results[@]}")" = "$(sums "$work/out" "${results[@]}")" ] || fail "threads matter"
succeed prepare "$work/marked" "$work/out" --cut-axes 2
has_count "$work/out" '*_axis0_*' 0
has_count "$work/out" '*.obj' 0

# Two folders, the recipe, case folders with masks.
rm -rf "$work/out"
succeed "$MEDSEG" prepare --form sam3d --images "$work/raw/imagesTr" --labels "$work/raw/labelsTr" --output "$work/out" --classes 3 --spacing 12 --meshes
[ "$(sums "$work/kept" "${results[@]}")" = "$(sums "$work/out" "${results[@]}")" ] || fail "two folders and marked files differ"
cat >"$work/recipe.yaml" <<YAML
output: $work/run
data: {root: $work/marked}
prepare: {form: sam3d}
prepare_sam3d: {classes: 3, spacing: 12, meshes: true}
YAML
rm -rf "$work/out"
succeed "$MEDSEG" prepare "$work/recipe.yaml" --output "$work/out"
[ "$(sums "$work/kept" "${results[@]}")" = "$(sums "$work/out" "${results[@]}")" ] || fail "recipe and options differ"
succeed "$MEDSEG" run "$work/recipe.yaml"
[ "$(count "$work/run/cache" '*.npz')" -eq "$(count "$work/out" '*.npz')" ] || fail "run"
succeed "$MEDSEG" phantom "$work/folders" --cases 2 --size 40,36,20 --structures liver,spleen,heart,aorta
succeed "$MEDSEG" prepare --form sam3d --input "$work/folders" --output "$work/masks" --structures heart,liver --spacing 12
"$MEDSEG" info "$work/masks/s0000.nii_sdf.npy" | grep -qE 'shape|size' || fail "info of distances"
grep -q '"classes": 2' "$work/masks/manifest.json" || fail "classes of masks: $(head -c 600 "$work/masks/manifest.json")"

# Wrong options.
expect 2 'classes: 300 is outside' bare "$work/marked" "$work/bad" --classes 300
expect 2 'axes: 3 is outside' prepare "$work/marked" "$work/bad" --cut-axes 3
expect 2 'spacing: -1' bare "$work/marked" "$work/bad" --spacing=-1
expect 2 'output DIR' "$MEDSEG" prepare --form sam3d --input "$work/marked"
expect 3 'missing: is not a folder' prepare "$work/missing" "$work/bad"
mkdir "$work/empty"
expect 3 'empty: holds no cases: looked for .*-image.nii.gz' prepare "$work/empty" "$work/bad"
[ -e "$work/bad" ] && fail "output of a wrong call: $(find "$work/bad")"

# Bad cases: image without label, label without image, other grid, unexpected label, a damaged file; the rest is done.
for i in $(seq 10 59); do marked "$work/many" "s00$i" $((i % 3)); done
rm -rf "$work/out"
succeed prepare "$work/many" "$work/out"  # the slices name the folder
sums "$work/out" "${results[@]}" >"$work/whole-sums"
rm -rf "$work/out"
head -c 3000 "$work/raw/imagesTr/s0000_0000.nii.gz" >"$work/many/s0033/s0033-image.nii.gz"
expect 1 '1 of 50 cases.*s0033-image.nii.gz.*truncated' prepare "$work/many" "$work/out"
has_count "$work/out" '*_sdf.npy' 49
has_count "$work/out" 's0033*' 0
marked "$work/many" s0033 0
succeed prepare "$work/many" "$work/out"
grep -q '(1 prepared, 49 up to date)' "$work/stdout" || fail "$(cat "$work/stdout")"
sums "$work/out" "${results[@]}" | cmp -s - "$work/whole-sums" || fail "a repaired run differs"
rm "$work/many/s0010/s0010-label.nii.gz" "$work/many/s0011/s0011-image.nii.gz"
succeed "$MEDSEG" phantom "$work/other" --cases 1 --size 40,36,16 --layout nnunet --structures liver,spleen,heart
cp "$work/other/labelsTr/s0000.nii.gz" "$work/many/s0012/s0012-label.nii.gz"
expect 1 '3 of 50 cases' prepare "$work/many" "$work/out"
for line in 's0010-image.nii.gz: has no label' 's0011-label.nii.gz: has no image' 's0012.*40x36x16'; do
    grep -q "$line" "$work/stderr" || fail "no \"$line\": $(cat "$work/stderr")"
done
has_count "$work/out" 's0012*' 0
rm -rf "$work/out"
expect 1 '3 of 3 cases.*holds label 3, expected are 1 to 2' bare "$work/marked" "$work/out" --classes 2 --spacing 12
has_count "$work/out" '*.npz' 0

# A full disk, kill -9, Ctrl-C.
expect 1 'write' bash -c "ulimit -f 16; exec \"$MEDSEG\" prepare --form sam3d --input \"$work/marked\" --output \"$work/full\" --classes 3 --spacing 0"
has_count "$work/full" '*.np[yz]' 0
no_leftovers "$work/full"
rm -rf "$work/many" "$work/out"
for i in $(seq 10 59); do marked "$work/many" "s00$i" $((i % 3)); done
for delay in 0.05 0.1 0.2 0.3; do
    "$MEDSEG" prepare --form sam3d --input "$work/many" --output "$work/out" --classes 3 --spacing 12 >/dev/null 2>&1 &
    process=$!
    sleep $delay
    kill -KILL $process 2>/dev/null
    wait $process 2>/dev/null
done
"$MEDSEG" prepare --form sam3d --input "$work/many" --output "$work/out" --classes 3 --spacing 12 >/dev/null 2>&1 &
process=$!
wait_for "$work/out/cases/*.json"
kill -INT $process
wait $process; code=$?
[ $code -eq 130 ] || [ $code -eq 0 ] || fail "exit $code after Ctrl-C"
no_leftovers "$work/out"
succeed prepare "$work/many" "$work/out"
sums "$work/out" "${results[@]}" | cmp -s - "$work/whole-sums" || fail "the completed run differs"
no_leftovers "$work/out"
echo passed
